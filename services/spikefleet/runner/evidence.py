"""Gathers what is known of the child's end and asks what it means.

The classifier's rules do the thinking; only two ends are judged here, because no rule can see them:
a request to stop, and exit 0 without a complete result, which is not a success.
"""

from __future__ import annotations

import re
import signal as signals
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from spikefleet.core.attempts import AttemptSpec, RunFolder
from spikefleet.core.failures.classify import LOG_MARKS, Evidence, classify, read_log
from spikefleet.core.failures.codes import Disposition, FailureCode
from spikefleet.core.failures.errors import AttemptInterrupted, Failure
from spikefleet.core.files import read_json
from spikefleet.runner.recording_names import without_names
from spikefleet.runner.supervise import ChildEnd

_STEP = re.compile(r"^\[spikefleet\] step=(\w+)$", re.MULTILINE)
_LOST_WORKER = frozenset({"BrokenProcessPool", "TerminatedWorkerError"})
_KILLED_EXIT_CODE = 128 + signals.SIGKILL
_TOLD_TO_STOP = "The attempt was told to stop before it had finished."


@dataclass(frozen=True)
class ChildResult:
    """What the child says of its result. ``missing`` names what a complete one lacks."""

    n_units: int | None = None
    n_spikes: int | None = None
    duration_s: float | None = None
    timings_s: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def read_result(folder: RunFolder) -> ChildResult:
    """Read ``result/``. A result is complete with its document, its sorting and its analyzer."""
    document = read_json(folder.child_result)
    missing = [name for name in ("sorting", "analyzer") if not (folder.result / name).is_dir()]
    if document is None:
        return ChildResult(missing=("result.json", *missing))
    return ChildResult(
        n_units=_whole(document.get("n_units")),
        n_spikes=_whole(document.get("n_spikes")),
        duration_s=_seconds(document.get("duration_s")),
        timings_s=_table(document.get("timings_s"), int | float),
        versions=_table(document.get("versions"), str),
        missing=tuple(missing),
    )


def _whole(value: Any) -> int | None:
    return value if type(value) is int else None


def _seconds(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) else None


def _table(value: Any, kind: Any) -> dict[str, Any]:
    """The entries of the right kind; a document may hold anything."""
    if not isinstance(value, dict):
        return {}
    return {key: entry for key, entry in value.items() if isinstance(entry, kind)}


@dataclass(frozen=True)
class KernelKills:
    """Kernel kills for memory in the attempt's cgroup while its child ran.

    ``count`` None: nobody counts here. Where others live in the same cgroup (``is_shared``) a kill
    may have been a neighbour's.
    """

    count: int | None = None
    is_shared: bool = False


def judge(
    spec: AttemptSpec, folder: RunFolder, end: ChildEnd, kills: KernelKills = KernelKills()
) -> Failure | None:
    """Return why the child did not succeed; None when it did."""
    if end.interrupted:
        told = Failure.from_error(AttemptInterrupted(_TOLD_TO_STOP, signal=end.interrupted))
        return replace(told, stage="sort", rule_id="parent.interrupted")
    if end.trip is None and end.exit_code == 0:
        return _check_result(spec, folder)
    document = read_json(folder.child_failure)
    log = read_log(folder.child_log, LOG_MARKS)
    evidence = Evidence(
        backend=spec.backend,
        step=_last_step(log.tail),
        exit_code=end.exit_code,
        signal=end.signal,
        child_failure=document,
        log_tail=log.tail,
        log_head=log.head,
        log_scan=log.scan,
        log_unread_bytes=log.unread_bytes,
        oom_kill_delta=_kills_that_count(end, document, kills),
        trip=end.trip,
        preflight=_known_of_the_recording(spec),
        wall_s=end.wall_s,
    )
    failure = classify(evidence)
    if failure.row.disposition is Disposition.HOLD:
        # It would hold others up: the submitter's own names must not be what says so.
        unnamed = classify(without_names(evidence, spec))
        failure = failure if unnamed.code is failure.code else unnamed
    return replace(failure, stage=failure.stage or "sort")


def _kills_that_count(
    end: ChildEnd, document: Mapping[str, Any] | None, kills: KernelKills
) -> int | None:
    """The kernel's count where it can be this child's; None where nobody counts."""
    if kills.count is None or _can_come_of_a_kill(end, document, kills):
        return kills.count
    return 0


def _can_come_of_a_kill(
    end: ChildEnd, document: Mapping[str, Any] | None, kills: KernelKills
) -> bool:
    """A child that named its failure was not killed; beside others only the killed one was."""
    if document and isinstance(document.get("classified"), dict):
        return False
    if not kills.is_shared:
        return True
    was_killed = end.signal == signals.SIGKILL or end.exit_code == _KILLED_EXIT_CODE
    return was_killed or bool(document and document.get("exception_type") in _LOST_WORKER)


def _last_step(log_tail: str) -> str:
    """The child's step (load, sort, analyze) as it said it last; empty when it did not."""
    steps = _STEP.findall(log_tail)
    return str(steps[-1]) if steps else ""


def _known_of_the_recording(spec: AttemptSpec) -> dict[str, Any]:
    """What preflight measured and we know. Bytes with a digest were checked against it before."""
    known: dict[str, Any] = {"duration_s": spec.duration_s} if spec.duration_s > 0 else {}
    return {
        **known,
        **(spec.preflight.get("measurements") or {}),
        "sorter_params": spec.config.get("sorter", {}).get("sorter_params") or {},
        "digest_verified": all(entry.sha256 and not entry.in_place for entry in spec.inputs),
    }


def _check_result(spec: AttemptSpec, folder: RunFolder) -> Failure | None:
    missing = read_result(folder).missing
    if not missing:
        return None
    return Failure(
        FailureCode.SORTER_CRASH,
        f"The sorter ended as if all were well, but left no {' and no '.join(missing)}.",
        rule_id="parent.no_result",
        evidence={
            "sorter": spec.backend,
            "exit_code": 0,
            "reason": "no_result",
            "missing": list(missing),
        },
    )
