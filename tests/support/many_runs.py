"""A run store with many runs, written in one go rather than one by one."""

from datetime import UTC, datetime
from typing import Any

from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.config import resolve
from spikefleet.core.files import digest_document
from spikefleet.core.runs import RunState, attempt_name
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.tables import ATTEMPT, BATCH, RUN

NOW = datetime(2026, 3, 1, tzinfo=UTC)
_RESULT = {"preflight": {"stream": {"duration_s": 60.0}, "findings": [], "measurements": {}}}


def add_runs(
    database: Database, count: int, state: RunState, *, sort: str = "", first: int = 1
) -> list[str]:
    """Write runs that stand before their sort or have ended; ``sort`` gives all the same digest.

    Each has a preflight attempt that has ended, and a whole configuration.
    """
    config = resolve("kilosort4", {}).to_document()
    rows: list[dict[str, Any]] = []
    attempts: list[dict[str, Any]] = []
    for serial in range(first, first + count):
        run_id = f"run-{serial:016d}"
        rows.append(
            {
                "run_id": run_id,
                "serial": serial,
                "batch_id": f"batch-{first}",
                "recording_id": f"rec-{serial}",
                "recording_name": f"lab/day/{serial}",
                "stream": "",
                "backend": "kilosort4",
                "lane": "kilosort4",
                "config": config,
                "config_digest": "c",
                "sort_digest": digest_document(sort or serial),
                "identity": run_id,
                "submitter": "rig",
                "state": str(state),
                "stage": str(Stage.SORT),
                "result": _RESULT,
                "progress": {},
                "cancel_requested": False,
                "version": 1,
                "created_at": NOW,
                "updated_at": NOW,
                "sort_mark": "",
            }
        )
        attempts.append(
            {
                "attempt_id": f"attempt-{serial}",
                "serial": serial,
                "run_id": run_id,
                "stage": str(Stage.PREFLIGHT),
                "number": 1,
                "name": attempt_name(run_id, Stage.PREFLIGHT, 1),
                "state": str(AttemptState.SUCCEEDED),
                "params": {},
                "outcome": {},
                "created_at": NOW,
                "ended_at": NOW,
            }
        )
    with database.write() as connection:
        connection.execute(
            BATCH.insert(),
            {
                "batch_id": f"batch-{first}",
                "submitter": "",
                "label": "",
                "created_at": NOW,
                "owner": "",
            },
        )
        connection.execute(RUN.insert(), rows)
        connection.execute(ATTEMPT.insert(), attempts)
    return [str(row["run_id"]) for row in rows]
