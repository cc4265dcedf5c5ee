"""Why an attempt does not run yet: which part of the cluster it waits for, in words. Pure.

Most waiting ends by itself: a queue, a quota, a node without room, an image that comes back.
What only a person can mend is given up after a grace time, so that the run is held with that
reason instead of waiting for ever.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from spikefleet.core.attempts import WaitsFor
from spikefleet.infra.launchers.kubernetes.manifests import QUEUE
from spikefleet.infra.launchers.kubernetes.objects import (
    Json,
    condition,
    holds,
    metadata,
    moment,
    said,
    sorter_state,
    spec,
    status,
)

_IMAGE = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
    }
)
_CONFIG = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"}
)
_VOLUME_EVENTS = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")
_NEVER_FITS = re.compile(r"persistentvolumeclaim .* not found|unbound immediate PersistentVolume")
_MOST_CHARACTERS = 300


@dataclass(frozen=True)
class Waiting:
    """What an attempt waits for.

    ``reason`` is the cluster's, with its message; ``words`` are for the person who waits, ``kind``
    is for who counts. ``since`` is when this pod or Job began to wait; ``is_given_up`` says that
    only a person can mend it.
    """

    kind: WaitsFor
    reason: str
    words: str
    since: datetime | None
    is_given_up: bool = False


def why_it_waits(
    job: Json, pod: Json | None, events: Sequence[Json], workload: Json | None
) -> Waiting | None:
    """Return why the attempt does not run; None when it runs or has ended.

    ``events`` are those of the Job and its pod, ``workload`` is Kueue's, None where not known.
    """
    if spec(job).get("suspend"):
        return _queued(job, workload)
    if pod is None:
        return _without_pod(job, events)
    if status(pod).get("phase") not in (None, "Pending"):
        return None
    return _unscheduled(pod) or _in_container(pod, events)


def needs_events(job: Json, pod: Json | None) -> bool:
    """Whether only events can tell why it waits: there is no pod, or nothing in its status."""
    if spec(job).get("suspend") or holds(job, "Complete") or holds(job, "Failed"):
        return False
    if pod is None:
        return True
    if status(pod).get("phase") != "Pending" or not holds(pod, "PodScheduled"):
        return False
    return _waiting_state(pod)[0] not in _IMAGE | _CONFIG


def _queued(job: Json, workload: Json | None) -> Waiting:
    queue = str((metadata(job).get("labels") or {}).get(QUEUE) or "")
    since = moment(metadata(job).get("creationTimestamp"))
    where = f"the queue {queue}" if queue else "the cluster's queue"
    told = _of_workload(workload) if workload else ""
    words = f"waits for its turn in {where}" + (f": {told}" if told else "")
    if workload is not None and spec(workload).get("active") is False:
        words = f"{where} has put it aside and does not try again; ask who runs the cluster: {told}"
    return Waiting(WaitsFor.QUEUE, "JobSuspended", _short(words), since)


def _of_workload(workload: Json) -> str:
    """The newest thing that Kueue says against the Job's start."""
    for kind in ("Evicted", "QuotaReserved", "Admitted"):
        found = condition(workload, kind)
        against = "True" if kind == "Evicted" else "False"
        if found.get("status") == against and found.get("message"):
            return str(found["message"])
    return ""


def _without_pod(job: Json, events: Sequence[Json]) -> Waiting:
    since = moment(metadata(job).get("creationTimestamp"))
    refusals = [event for event in events if event.get("reason") == "FailedCreate"]
    if not refusals:
        return Waiting(WaitsFor.POD, "", "waits for the cluster to make its pod", since)
    message = str(_latest(refusals).get("message") or "")
    reason = said("FailedCreate", message)
    if "exceeded quota" in message:
        told = message.partition("exceeded quota: ")[2]
        words = f"waits for room in the namespace's quota: {told}"
        return Waiting(WaitsFor.QUOTA, reason, _short(words), since)
    told = message.partition("forbidden: ")[2] or message.partition(": ")[2] or message
    words = f"the cluster refuses to make its pod: {told}"
    return Waiting(WaitsFor.ADMISSION, reason, _short(words), since, is_given_up=True)


def _unscheduled(pod: Json) -> Waiting | None:
    found = condition(pod, "PodScheduled")
    since = moment(metadata(pod).get("creationTimestamp"))
    if not found:
        return Waiting(WaitsFor.NODE, "", "waits for the cluster to look for a node", since)
    if found.get("status") != "False":
        return None
    message = str(found.get("message") or "")
    reason = said(found.get("reason"), message)
    if found.get("reason") == "SchedulingGated":
        words = "waits for the cluster's leave to be placed on a node"
        return Waiting(WaitsFor.QUEUE, reason, words, since)
    if _NEVER_FITS.search(message):
        words = f"its scratch claim is not there: {message}"
        return Waiting(WaitsFor.VOLUME, reason, _short(words), since, is_given_up=True)
    told = message.partition("available: ")[2].partition(". ")[0] or message
    words = f"waits for a node with room for it: {told}"
    return Waiting(WaitsFor.NODE, reason, _short(words), since)


def _in_container(pod: Json, events: Sequence[Json]) -> Waiting:
    waiting, message = _waiting_state(pod)
    since = moment(status(pod).get("startTime")) or moment(metadata(pod).get("creationTimestamp"))
    reason = said(waiting, message)
    if waiting in _IMAGE:
        words = f"its image cannot be fetched ({waiting}): {message}"
        return Waiting(WaitsFor.IMAGE, reason, _short(words), since, is_given_up=True)
    if waiting in _CONFIG:
        words = f"its container cannot be made ({waiting}): {message}"
        return Waiting(WaitsFor.CONTAINER, reason, _short(words), since, is_given_up=True)
    trouble = [event for event in events if event.get("reason") in _VOLUME_EVENTS]
    if trouble:
        event = _latest(trouble)
        told = said(event.get("reason"), event.get("message"))
        words = f"its node cannot prepare the pod: {told}"
        is_volume = event.get("reason") != "FailedCreatePodSandBox"
        kind = WaitsFor.VOLUME if is_volume else WaitsFor.CONTAINER
        return Waiting(kind, told, _short(words), since, is_given_up=True)
    node = str(spec(pod).get("nodeName") or "")
    words = f"is being prepared on {node}" if node else "is being prepared"
    return Waiting(WaitsFor.POD, reason, words, since)


def _waiting_state(pod: Json) -> tuple[str, str]:
    state = sorter_state(pod).get("waiting") or {}
    return str(state.get("reason") or ""), str(state.get("message") or "").strip()


def _latest(events: Sequence[Json]) -> Json:
    """The newest event; one that happened again counts by its last time."""
    return max(
        events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or "")
    )


def _short(words: str) -> str:
    line = " ".join(words.split())
    return line if len(line) <= _MOST_CHARACTERS else f"{line[: _MOST_CHARACTERS - 1]}…"
