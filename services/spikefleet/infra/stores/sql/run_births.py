"""How a batch and its new runs are written: a fixed number of statements, however many runs.

Only inside a write of the run store: writers take turns, so nothing is born between the look at
what exists and the rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from spikefleet.core.ids import BatchId, RunId
from spikefleet.core.runs import RunState, run_id_for
from spikefleet.infra.stores.sql.run_access import choose_runs
from spikefleet.infra.stores.sql.run_values import BatchRecord, NewBatch, NewRun
from spikefleet.infra.stores.sql.tables import (
    BATCH,
    BATCH_RUN,
    EVENT,
    RUN,
    clean_text,
    next_serial,
)


def write_batch(connection: Connection, new: NewBatch, now: datetime) -> BatchRecord:
    """Write a batch and those of its runs that do not exist yet, each with its first event."""
    batch_id = BatchId(f"batch-{uuid.uuid4().hex[:16]}")
    chosen = choose_runs(connection, new.runs, new.owner)
    run_ids = tuple(run_id_for(wanted.identity) for wanted, _ in chosen)
    owners = {run_id: owner for run_id, (_, owner) in zip(run_ids, chosen, strict=True)}
    existing = {run_id: owner for run_id, owner in owners.items() if owner is not None}
    born: dict[RunId, NewRun] = {}
    for wanted, owner in chosen:
        if owner is None:
            born.setdefault(run_id_for(wanted.identity), wanted)
    connection.execute(
        BATCH.insert(),
        {
            "batch_id": batch_id,
            "submitter": new.submitter,
            "label": new.label,
            "idempotency_key": new.idempotency_key or None,
            "created_at": now,
            "owner": new.owner,
        },
    )
    if born:
        serial = next_serial(connection, RUN)
        rows = [
            {"batch_id": batch_id, "submitter": new.submitter, "serial": serial + offset}
            | _run_row(run_id, wanted, now)
            for offset, (run_id, wanted) in enumerate(born.items())
        ]
        connection.execute(RUN.insert(), rows)
        connection.execute(EVENT.insert(), [_first_event(row) for row in rows])
    if run_ids:
        connection.execute(
            BATCH_RUN.insert(),
            [
                {
                    "batch_id": batch_id,
                    "position": position,
                    "run_id": run_id,
                    "existed": run_id in existing,
                }
                for position, run_id in enumerate(run_ids)
            ],
        )
    return BatchRecord(
        batch_id=batch_id,
        run_ids=run_ids,
        existing_run_ids=tuple(existing),
        submitter=clean_text(new.submitter),
        label=clean_text(new.label),
        created_at=now,
        is_new=True,
        own_run_ids=tuple(run_id for run_id, owner in existing.items() if owner == new.owner),
    )


def _run_row(run_id: RunId, wanted: NewRun, now: datetime) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "recording_id": wanted.recording_id,
        "recording_name": wanted.recording_name,
        "stream": wanted.stream,
        "backend": wanted.backend,
        "lane": wanted.lane or wanted.backend,
        "config": wanted.config,
        "config_digest": wanted.config_digest,
        "sort_digest": wanted.sort_digest,
        "identity": wanted.identity,
        "state": str(RunState.QUEUED),
        "stage": str(wanted.stage),
        "result": dict(wanted.result),
        "progress": {},
        "cancel_requested": False,
        "version": 0,
        "created_at": now,
        "updated_at": now,
    }


def _first_event(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "run_id": row["run_id"],
        "kind": "run.created",
        "body": {name: row[name] for name in ("batch_id", "recording_id", "backend")},
        "from_state": "",
        "to_state": row["state"],
        "created_at": row["created_at"],
    }
