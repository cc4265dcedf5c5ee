"""Progress that no report brings: of a runner that is not heard, and of one that has not begun.

A runner that outlived its service reports to the old address; its heartbeat is still there to be
read. The folder is asked only when reports have been silent for a while. An attempt that waits for
its machine has nobody to report, so what it waits for stands in the place of its step.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from spikefleet.core.runs import Attempt, Run
from spikefleet.infra.foreign_documents import moment_of, number, progress
from spikefleet.infra.launchers.base import Observation

_SILENCE = timedelta(seconds=5)


def newer_progress(
    run: Run, attempt: Attempt, heartbeat: Mapping[str, object] | None
) -> dict[str, Any] | None:
    """Return the heartbeat as a progress document when it is newer than what is stored.

    None when the reports are fresh enough, or the heartbeat is damaged or another attempt's.
    """
    if not heartbeat or heartbeat.get("attempt_id") != attempt.attempt_id:
        return None
    written = moment_of(heartbeat.get("at"), datetime.now(UTC))
    said = progress(heartbeat.get("progress"))
    if written is None or said is None:
        return None
    stored = run.progress.get("updated_at")
    if stored and written - datetime.fromisoformat(str(stored)) < _SILENCE:
        return None
    return {
        "step": said["step"],
        "fraction": said["fraction"],
        "spike_count": said["spikes"],
        "memory_bytes": said["memory_bytes"],
        "updated_at": written.isoformat(),
    }


def reported_progress(document: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return what a pod reports with each field within bounds; what is out of them is left out."""
    said = progress({**document, "spikes": document.get("spike_count")}) or {}
    kept = {
        "step": said["step"] or None,
        "fraction": said["fraction"],
        "spike_count": said["spikes"],
        "memory_bytes": said["memory_bytes"],
        "eta_s": number(document.get("eta_s")),
    }
    found = {name: value for name, value in kept.items() if value is not None}
    if updated := document.get("updated_at"):
        found["updated_at"] = min(datetime.fromisoformat(str(updated)), now).isoformat()
    return found


def waiting_progress(run: Run, observation: Observation, now: datetime) -> dict[str, Any] | None:
    """Return what the attempt waits for as a progress document; None when that is told already.

    One that waited and has begun is told as well, so that nobody counts it among the waiting
    until its first report.
    """
    kind = str(observation.waits_for or "")
    told = str(run.progress.get("waits_for") or "")
    words = observation.waiting or ("begins" if told else "")
    if not words or (run.progress.get("step"), told) == (words, kind):
        return None
    return {
        "step": words,
        "waits_for": kind,
        "fraction": None,
        "spike_count": None,
        "memory_bytes": None,
        "updated_at": now.isoformat(),
    }
