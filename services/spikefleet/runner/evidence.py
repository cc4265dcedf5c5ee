"""Gathers what is known of the child's end and says what it means.

A request to stop and a trip speak first, then the child's own words, then its signal. Exit 0
without a complete result is no success.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikefleet.core.attempts import AttemptSpec, RunFolder, read_json
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure, JsonValue
from spikefleet.runner.supervise import ChildEnd

LOG_TAIL_BYTES = 64 * 1024


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
        n_units=document.get("n_units"),
        n_spikes=document.get("n_spikes"),
        duration_s=document.get("duration_s"),
        timings_s=document.get("timings_s", {}),
        versions=document.get("versions", {}),
        missing=tuple(missing),
    )


def read_log_tail(path: Path, *, size_bytes: int = LOG_TAIL_BYTES) -> str:
    """The end of a log, as text; empty when it cannot be read."""
    try:
        with path.open("rb") as handle:
            handle.seek(0, 2)
            handle.seek(max(0, handle.tell() - size_bytes))
            return handle.read().decode("utf-8", errors="replace")
    except OSError:
        return ""


def judge(spec: AttemptSpec, folder: RunFolder, end: ChildEnd, *, oom_kills: int) -> Failure | None:
    """Return why the child did not succeed; None when it did.

    ``oom_kills`` counts kernel kills for memory while the child ran.
    """
    if end.interrupted:
        return Failure(
            FailureCode.ATTEMPT_INTERRUPTED,
            f"The attempt was told to stop ({end.interrupted}) before it had finished.",
            rule_id="parent.interrupted",
            evidence={"signal": end.interrupted},
        )
    if end.trip is not None:
        return end.trip
    if end.exit_code == 0:
        return _check_result(spec, folder)
    return _classify(spec, folder, end, oom_kills)


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


def _classify(spec: AttemptSpec, folder: RunFolder, end: ChildEnd, oom_kills: int) -> Failure:
    ev: dict[str, JsonValue] = {
        "sorter": spec.backend,
        "exit_code": end.exit_code,
        "signal": end.signal,
        "step": end.step,
        "log_tail": read_log_tail(folder.child_log)[-2000:],
    }
    doc: dict[str, Any] = read_json(folder.child_failure) or {}
    if doc.get("classified"):
        return Failure.from_json(doc["classified"])
    if doc.get("exception_type") == "MemoryError" or (end.signal == signal.SIGKILL and oom_kills):
        return Failure(
            FailureCode.HOST_OUT_OF_MEMORY,
            "The sorter ran out of memory.",
            rule_id="parent.oom",
            evidence=ev,
        )
    if end.signal is not None:
        return Failure(
            FailureCode.SORTER_CRASH,
            f"The sorter died of {signal.Signals(end.signal).name}.",
            rule_id="parent.signal",
            evidence=ev,
        )
    return Failure(
        FailureCode.UNCLASSIFIED,
        str(doc.get("message", "unknown")),
        rule_id="parent.unclassified",
        evidence=ev,
    )
