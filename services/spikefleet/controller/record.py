"""The record of a run as one plain document: what the reporter renders. Reads; decides nothing."""

from __future__ import annotations

from typing import Any

from spikefleet.core.rooms.reporting import RunRecord
from spikefleet.core.run_result import PreflightRecord
from spikefleet.core.runs import Attempt, Run, RunEvent
from spikefleet.core.submissions import Recording, part_names


def run_record(
    run: Run, attempts: list[Attempt], events: list[RunEvent], recording: Recording
) -> RunRecord:
    """Return everything known of a run as JSON-ready values."""
    ending = dict(run.result.get("ending", {}))
    return {
        "run": {
            "run_id": run.run_id,
            "batch_id": run.batch_id,
            "recording_name": run.recording_name,
            "stream": run.stream,
            "backend": run.backend,
            "state": ending.get("state", str(run.state)),
            "status": ending.get("status", str(run.status or "")),
            "failure": run.failure.to_json() if run.failure else None,
            "submitter": run.submitter,
            "config_digest": run.config_digest,
            "created_at": run.created_at.isoformat(),
            "ended_at": run.updated_at.isoformat(),
            "result": {k: v for k, v in run.result.items() if k not in ("preflight", "ending")},
        },
        "attempts": [_attempt_record(attempt) for attempt in attempts],
        "events": [
            {
                "seq": event.seq,
                "kind": event.kind,
                "from_state": event.from_state,
                "to_state": event.to_state,
                "body": dict(event.body),
                "created_at": event.created_at.isoformat(),
            }
            for event in events
        ],
        "config": dict(run.config),
        "preflight": run.result.get("preflight") or PreflightRecord(),
        "recording": {
            "recording_id": recording.recording_id,
            "name": str(recording.name),
            "digest": recording.digest,
            "location": recording.location or ", ".join(part.location for part in recording.parts),
            "paths": [opened_path(part) for part in recording.parts or (recording,)],
            "in_place": recording.in_place,
            "size_bytes": recording.size_bytes,
            "files": [
                {"path": file.path, "size_bytes": file.size_bytes, "sha256": file.sha256}
                for part in (recording, *recording.parts)
                for file in part.files
            ],
            "parts": [
                {"name": name, "recording": str(part.name), "digest": part.digest}
                for name, part in zip(part_names(recording), recording.parts, strict=True)
            ],
        },
    }


def opened_path(recording: Recording) -> str:
    """The file or folder that a reader opens of a recording that is not joined."""
    files = recording.files
    entry = recording.entry or (files[0].path if len(files) == 1 else "")
    folder = recording.location if recording.in_place else f"{recording.location}/files"
    return f"{folder}/{entry}" if entry else folder


def _attempt_record(attempt: Attempt) -> dict[str, Any]:
    return {
        "attempt_id": attempt.attempt_id,
        "stage": str(attempt.stage),
        "number": attempt.number,
        "state": str(attempt.state),
        "params": dict(attempt.params),
        "failure": attempt.failure.to_json() if attempt.failure else None,
        "outcome": dict(attempt.outcome),
        "created_at": attempt.created_at.isoformat(),
        "ended_at": attempt.ended_at.isoformat() if attempt.ended_at else None,
    }
