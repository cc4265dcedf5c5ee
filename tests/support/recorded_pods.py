"""Genuine pods, Jobs and events of every way to die, recorded on a real cluster."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pytest
from tests.support.attempts import ROOT

from spikefleet.infra.launchers.kubernetes.objects import moment, name_of, newest, owner_uids
from spikefleet.infra.launchers.kubernetes.reading import Sight

RECORDED = ROOT.parent / "shared" / "data" / "kubernetes"
ATTEMPT = "s-0011223344556677-sort-1"  #: whose termination messages were recorded
need_recordings = pytest.mark.skipif(
    not RECORDED.is_dir(), reason=f"no recorded cluster objects at {RECORDED}"
)


@dataclass(frozen=True)
class _Case:
    """The last state of every object, as a watch told it, and every LIST of it."""

    last: Mapping[str, Mapping[str, Any]]
    lists: Mapping[str, list[dict[str, Any]]]


@cache
def _case(name: str) -> _Case:
    last: dict[str, dict[str, Any]] = {"pods": {}, "jobs": {}, "events": {}}
    for line in (RECORDED / name / "watch.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        thing = entry["object"]
        if entry["of"] in last and entry["type"] in ("ADDED", "MODIFIED", "DELETED"):
            last[entry["of"]][thing["metadata"]["uid"]] = thing
    lists = {
        kind: json.loads((RECORDED / name / f"{kind}.json").read_text(encoding="utf-8"))
        for kind in ("pod", "job", "events")
        if (RECORDED / name / f"{kind}.json").is_file()
    }
    return _Case(last, lists)


def sight(name: str, job: str = "attempt", view: str = "last", *, later_s: float = 0.0) -> Sight:
    """One look at a recorded Job.

    ``view`` is ``last`` for the last that a watch told of each object, deleted ones included, or
    the name of a moment for what a LIST answered then (``final`` is the end). The clock stands
    ``later_s`` after the newest time in the objects.
    """
    case = _case(name)
    if view == "last":
        things = {kind: list(case.last[kind].values()) for kind in case.last}
    else:
        things = {
            f"{kind.removesuffix('s')}s": [
                item for each in found if each["moment"] == view for item in each["list"]["items"]
            ]
            for kind, found in case.lists.items()
        }
    jobs = [each for each in things["jobs"] if name_of(each) == job]
    assert jobs, (name, job, sorted(name_of(each) for each in things["jobs"]))
    uid = jobs[-1]["metadata"]["uid"]
    pods = [pod for pod in things["pods"] if uid in owner_uids(pod)]
    about = {uid, *(pod["metadata"]["uid"] for pod in pods)}
    events = [e for e in things["events"] if e["involvedObject"].get("uid") in about]
    return Sight(jobs[-1], pods, _newest_time(jobs[-1], pods) + timedelta(seconds=later_s), events)


def first_pod(look: Sight) -> Sight:
    """The same look with the Job's first pod alone, as if no second one had come."""
    ordered = sorted(look.pods, key=lambda pod: pod["metadata"]["creationTimestamp"])
    return replace(look, pods=ordered[:1])


def _newest_time(*things: Any) -> datetime:
    found = [moment(text) for text in _texts(list(things))]
    times = [each for each in found if each is not None]
    assert times
    assert newest([]) is None
    return max(times)


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) and value.endswith("Z") and "T" in value else []
