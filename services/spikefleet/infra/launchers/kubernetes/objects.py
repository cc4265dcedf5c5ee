"""How the JSON of Jobs, pods and events is asked for what the launcher needs. Pure.

Objects are plain JSON as the API server sends them; a key that is absent is no error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from spikefleet.infra.launchers.kubernetes.manifests import ATTEMPT_NAME
from spikefleet.infra.launchers.kubernetes.pod_template import SORTER

Json = Mapping[str, Any]


def metadata(thing: Json) -> Json:
    """Return an object's metadata."""
    return _table(thing.get("metadata"))


def status(thing: Json) -> Json:
    """Return an object's status."""
    return _table(thing.get("status"))


def spec(thing: Json) -> Json:
    """Return an object's spec."""
    return _table(thing.get("spec"))


def annotations_of(thing: Json) -> Json:
    """Return an object's annotations."""
    return _table(metadata(thing).get("annotations"))


def uid_of(thing: Json) -> str:
    """Return an object's uid."""
    return str(metadata(thing).get("uid") or "")


def name_of(thing: Json) -> str:
    """Return an object's name."""
    return str(metadata(thing).get("name") or "")


def attempt_name(job: Json) -> str:
    """Return the name of the attempt that a Job is; "" for a Job of nobody's."""
    return str(annotations_of(job).get(ATTEMPT_NAME) or "")


def condition(thing: Json, kind: str) -> Json:
    """Return the condition of that type; {} where there is none."""
    found = [each for each in _list(status(thing).get("conditions")) if each.get("type") == kind]
    return found[-1] if found else {}


def holds(thing: Json, kind: str) -> bool:
    """Whether the condition of that type is True."""
    return condition(thing, kind).get("status") == "True"


def moment(text: object) -> datetime | None:
    """Read a time of the API (UTC); None for what is none."""
    try:
        read = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def said(reason: object, message: object) -> str:
    """Return ``Reason: message`` as one line; either may be absent."""
    words = [str(part).strip() for part in (reason, message) if part]
    return ": ".join(words)


def owner_uids(thing: Json) -> set[str]:
    """Return the uids of an object's owners."""
    return {str(owner.get("uid")) for owner in _list(metadata(thing).get("ownerReferences"))}


def newest(pods: Iterable[Json]) -> Json | None:
    """Return the youngest of a Job's pods; None where there is none."""
    ordered = sorted(pods, key=lambda pod: str(metadata(pod).get("creationTimestamp") or ""))
    return ordered[-1] if ordered else None


def sorter_state(pod: Json) -> Json:
    """Return the state of the sorter's container; {} before there is one."""
    statuses = _list(status(pod).get("containerStatuses"))
    own = [each for each in statuses if each.get("name") == SORTER]
    return _table(own[0].get("state")) if own else {}


def terminated(pod: Json) -> Json:
    """Return how the sorter's container ended; {} while it has not.

    An init container that failed stands for it: the sorter then says that it waits, for ever.
    """
    own = _table(sorter_state(pod).get("terminated"))
    if own:
        return own
    for each in _list(status(pod).get("initContainerStatuses")):
        ended = _table(_table(each.get("state")).get("terminated"))
        if ended.get("exitCode") and status(pod).get("phase") == "Failed":
            return ended
    return {}


def has_run(pod: Json) -> bool:
    """Whether the sorter's program was started at all.

    A program that could not be started says 1970, a container that never was says nothing.
    """
    if "running" in sorter_state(pod):
        return True
    started = moment(terminated(pod).get("startedAt"))
    return started is not None and started.timestamp() > 0


def _table(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[Json]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
