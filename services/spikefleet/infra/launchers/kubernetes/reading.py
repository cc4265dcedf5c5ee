"""From a Job, its pods and its events to an ``Observation``: what the outside can tell. Pure.

Reads what is written and weighs nothing: whether an end was a success, and whose failure it was,
is the judge's matter. A pod that is gone leaves exit code or disruption in its Job's condition.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from spikefleet.infra import foreign_documents
from spikefleet.infra.launchers.base import Observation, Phase
from spikefleet.infra.launchers.kubernetes.objects import (
    Json,
    attempt_name,
    condition,
    has_run,
    holds,
    metadata,
    moment,
    newest,
    said,
    sorter_state,
    spec,
    status,
    terminated,
)
from spikefleet.infra.launchers.kubernetes.waiting import Waiting, why_it_waits

_RULE_CODE = re.compile(r"failed with exit code (?P<code>\d+) matching")
_RULE_DISRUPTED = "has condition DisruptionTarget"
_REJECTED = "Pod was rejected: "
_START_FAILED = frozenset({"StartError", "ContainerCannotRun"})
_VANISHED = frozenset({"ContainerStatusUnknown", "Unknown"})
_FOREIGN = "exec format error"  # of an image for another processor: it even counts as started
_SIGKILL_EXITS = frozenset({137, 247})  # 247: -9 as a program that started it passes it on
_FIRST_WORDS = 200
_ENDED_PHASES = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True)
class Patience:
    """How long the launcher waits for what does not end by itself, in seconds. 0 is for ever."""

    image_and_config_s: float = 600.0  #: for what only a person can mend
    capacity_s: float = 0.0  #: for a node with room
    lost_s: float = 600.0  #: for a node that is not heard of, beyond the pod's grace period


@dataclass(frozen=True)
class Sight:
    """One look at one Job and everything that belongs to it.

    ``started`` and ``heartbeat`` are what the attempt itself left in the store. ``workload`` is
    Kueue's object, None where there is none or it may not be read.
    """

    job: Json
    pods: Sequence[Json]
    now: datetime
    events: Sequence[Json] = ()
    workload: Json | None = None
    started: bool = False
    heartbeat: Mapping[str, object] | None = None
    patience: Patience = field(default_factory=Patience)

    @property
    def pod(self) -> Json | None:
        """The Job's pod; None before it is made and after it is gone."""
        return newest(self.pods)

    @property
    def last_heard(self) -> datetime | None:
        """When the attempt last wrote its heartbeat."""
        return foreign_documents.moment_of((self.heartbeat or {}).get("at"), self.now)


def read_attempt(sight: Sight) -> Observation:
    """Return what can be seen of the attempt; ``outcome`` is for the caller to add."""
    job, pod = sight.job, sight.pod
    name = attempt_name(job) or str(metadata(job).get("name") or "")
    node = str(spec(pod).get("nodeName") or "") if pod else ""
    seen: dict[str, Any] = {"name": name, "node": node, "heartbeat": sight.heartbeat}
    if holds(job, "Complete") or holds(job, "Failed"):
        return Observation(phase=Phase.EXITED, **seen, **_evidence(sight))
    if reason := _node_lost(sight):
        return Observation(phase=Phase.GONE, reason=reason, may_live=True, **seen)
    if spec(job).get("suspend") and sight.started:
        if pod is not None and status(pod).get("phase") not in _ENDED_PHASES:
            return Observation(phase=Phase.RUNNING, **seen)  # it still has its grace period
        reason = said("JobSuspended", condition(job, "Suspended").get("message"))
        return Observation(phase=Phase.EXITED, reason=reason, **seen)
    waiting = why_it_waits(job, pod, sight.events, sight.workload)
    if waiting is None:
        return Observation(phase=Phase.RUNNING, **seen)
    if _is_over(waiting, sight):
        return Observation(phase=Phase.EXITED, reason=waiting.reason, waiting=waiting.words, **seen)
    return Observation(phase=Phase.PENDING, waiting=waiting.words, waits_for=waiting.kind, **seen)


def _is_over(waiting: Waiting, sight: Sight) -> bool:
    """Whether it has waited long enough for what will not come by itself."""
    patience = sight.patience
    limit_s = patience.image_and_config_s if waiting.is_given_up else 0.0
    if waiting.reason.startswith("Unschedulable") and not waiting.is_given_up:
        limit_s = patience.capacity_s
    if not limit_s or waiting.since is None:
        return False
    return sight.now - waiting.since > timedelta(seconds=limit_s)


def _node_lost(sight: Sight) -> str:
    """Say why nobody will hear of the pod's end; "" while somebody may.

    A pod stays in its place while its node is away: either it should have ended long ago, or it has
    not been ready for long although its container runs, which needs no end to be ordered.
    """
    pod = sight.pod
    if pod is None or status(pod).get("phase") in _ENDED_PHASES:
        return ""
    limit = timedelta(seconds=sight.patience.lost_s)
    node = spec(pod).get("nodeName") or "its node"
    gone_by = moment(metadata(pod).get("deletionTimestamp"))
    if gone_by is not None and sight.now - gone_by > limit:
        return f"NodeLost: {node} has not ended the pod, which was due at {gone_by.isoformat()}"
    ready = condition(pod, "Ready")
    since = moment(ready.get("lastTransitionTime"))
    silent = sight.last_heard is None or sight.now - sight.last_heard > limit
    away = ready.get("status") == "False" and "running" in sorter_state(pod)
    if away and silent and since is not None and sight.now - since > limit:
        return f"NodeLost: {node} has not been heard of since {since.isoformat()}"
    return ""


def _evidence(sight: Sight) -> dict[str, Any]:
    """What the ended Job and its pod say, each thing by its own name."""
    pod, failed = sight.pod, condition(sight.job, "Failed")
    of_rule = str(failed.get("message") or "")
    ended = terminated(pod) if pod else {}
    code = ended.get("exitCode")
    if code is None and (found := _RULE_CODE.search(of_rule)):
        code = int(found["code"])
    if not ended and holds(sight.job, "Complete"):
        code = 0  # what a complete Job counted, whoever has deleted its pod since
    vanished = ended.get("reason") in _VANISHED
    message = str(ended.get("message") or "")
    is_document = _is_object(message)
    return {
        "exit_code": None if vanished else code,
        "oom_killed": ended.get("reason") == "OOMKilled" or _killed_by_its_count(code, sight),
        "disruption": _disruption(pod, of_rule),
        "reason": _reason(pod, ended, failed),
        "termination_message": message if is_document else "",
        "log_tail": "" if is_document else message,
    }


def _disruption(pod: Json | None, of_rule: str) -> str:
    """Who took the pod away, by its condition or, once it is gone, by the rule that matched."""
    found = condition(pod, "DisruptionTarget") if pod else {}
    if found.get("status") == "True":
        return said(found.get("reason") or "DisruptionTarget", found.get("message"))
    return said("DisruptionTarget", of_rule) if _RULE_DISRUPTED in of_rule else ""


def _reason(pod: Json | None, ended: Json, failed: Json) -> str:
    """The cluster's reason for the end: the pod's, else the container's, else the Job's."""
    of_pod = status(pod) if pod else {}
    if of_pod.get("reason"):
        message = str(of_pod.get("message") or "")
        if pod is not None and message.startswith(_REJECTED) and has_run(pod):
            message = f"the running pod was refused: {message.removeprefix(_REJECTED)}"
        return said(of_pod["reason"], message)
    message = str(ended.get("message") or "")
    if ended.get("reason") in _START_FAILED or _FOREIGN in message[:_FIRST_WORDS]:
        return said("StartError", message)
    if failed.get("reason") == "DeadlineExceeded":
        return said("DeadlineExceeded", failed.get("message"))
    if ended.get("reason") in _VANISHED:
        return said(
            f"Container{str(ended['reason']).removeprefix('Container')}", ended.get("message")
        )
    return ""


def _killed_by_its_count(code: object, sight: Sight) -> bool:
    """Not every runtime says OOMKilled: the attempt's own last count of kills tells it too."""
    readings = (sight.heartbeat or {}).get("readings")
    memory = readings.get("host_memory") if isinstance(readings, Mapping) else None
    kills = memory.get("oom_kills") if isinstance(memory, Mapping) else None
    return code in _SIGKILL_EXITS and bool(foreign_documents.number(kills))


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
