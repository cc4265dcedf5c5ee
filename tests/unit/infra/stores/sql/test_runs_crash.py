"""kill -9 of a writer at any moment: the next process finds whole transactions only."""

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spikefleet.core.attempts import AttemptState
from spikefleet.core.runs import RunState
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.runs import RunStore

WRITER = """
import sys
from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.runs import RunState
from spikefleet.core.submissions import digest_document
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.runs import AttemptEnd, NewBatch, NewRun, RunChanges, RunStore

store = RunStore(Database(sys.argv[1]))
number = 0
while True:
    number += 1
    identity = digest_document([sys.argv[2], number])
    new = NewRun("rec", "p/s/n", "", "kilosort4", {}, "c", "s", identity)
    batch = store.create_batch(NewBatch("rig", "", identity, (new,)))
    print(batch.run_ids[0], flush=True)
    run = store.get_run(batch.run_ids[0])
    for stage in Stage:
        run, attempt = store.intend_attempt(run, stage)
        attempt = store.mark_running(attempt)
        to = RunState.SUCCEEDED if stage is Stage.REPORT else RunState.QUEUED
        run = store.finish_attempt(
            run,
            attempt,
            AttemptEnd(AttemptState.SUCCEEDED, to, "stage.done", changes=RunChanges(
                result={f"{stage}_prefix": attempt.name})),
        )
"""
LIVE = (AttemptState.INTENDED, AttemptState.RUNNING)


def _assert_consistent(store: RunStore, run_id: str) -> None:
    run, attempts, events = (
        store.get_run(run_id),
        store.attempts_of(run_id),
        store.events(run_id),
    )
    states = [event.to_state for event in events if event.to_state]
    assert states[-1] == run.state
    kinds = [event.kind for event in events]
    assert kinds.count("attempt.intended") == len(attempts)
    ended = [a for a in attempts if a.state not in LIVE]
    assert kinds.count("attempt.succeeded") == kinds.count("stage.done") == len(ended)
    assert set(run.result) == {f"{a.stage}_prefix" for a in ended}
    assert (len(attempts) - len(ended)) == (run.state is RunState.RUNNING)


@pytest.mark.parametrize("lifetime_s", [0.05, 0.11, 0.23, 0.31])
def test_a_killed_writer_leaves_a_consistent_store(tmp_path: Path, lifetime_s: float) -> None:
    file = tmp_path / "state.db"
    database = Database(f"sqlite:///{file}")
    database.migrate()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, f"sqlite:///{file}", str(n)], stdout=subprocess.PIPE
        )
        for n in range(2)
    ]
    said: list[str] = []
    for writer in writers:
        assert writer.stdout is not None
        said.append(writer.stdout.readline().decode().strip())
    time.sleep(lifetime_s)
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
    for writer in writers:
        assert writer.stdout is not None
        # What was printed after its commit must be there; the last line may be cut short.
        said += [line.decode().strip() for line in writer.stdout if line.endswith(b"\n")]
        writer.stdout.close()
        writer.wait()
    store = RunStore(database)
    runs, _ = store.list_runs(limit=100_000)
    assert {run.run_id for run in runs} >= set(said)
    for run in runs:
        _assert_consistent(store, run.run_id)
    with sqlite3.connect(file) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
    raw.close()
    database.close()
