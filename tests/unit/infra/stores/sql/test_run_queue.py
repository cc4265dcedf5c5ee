"""The queries of a controller's round read neither history nor the whole queue."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event
from tests.support.many_runs import NOW, add_runs

from spikefleet.core.runs import RunState
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.runs import RunStore

OF_OPEN_RUNS = ("one_live_attempt", "run_queue", "run_cancelling", "run_waits")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")
    database.migrate()
    yield database
    database.close()


def plans(database: Database, runs: RunStore) -> list[str]:
    """How SQLite answers every query of a round, step by step."""
    asked: list[tuple[str, object]] = []

    def note(_conn: object, _cursor: object, statement: str, values: object, *_: object) -> None:
        if statement.lstrip().startswith("SELECT"):
            asked.append((statement, values))

    event.listen(database._engine, "before_cursor_execute", note)
    runs.live_attempts()
    runs.moving_runs(NOW)
    runs.sorts_to_take_over()
    runs.holds()
    runs.sorts_to_start(["kilosort4", "lupin"], 2)
    runs.queued_sorts("kilosort4")
    runs.sorted_runs("x")
    event.remove(database._engine, "before_cursor_execute", note)
    found = []
    with database.read() as connection:
        for statement, values in asked:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            found += [str(row.detail) for row in rows]
    return found


def test_no_query_of_a_round_goes_through_a_whole_table(database: Database) -> None:
    runs = RunStore(database)
    add_runs(database, 300, RunState.SUCCEEDED)
    steps = plans(database, runs)
    tables = ("run", "attempt", "q", "d", "o")
    whole = [step for step in steps if step.startswith("SCAN") and step.split()[1] in tables]
    assert [step for step in whole if not any(index in step for index in OF_OPEN_RUNS)] == []
    for index in (*OF_OPEN_RUNS, "run_sort_done", "run_sort_under_way"):
        assert any(index in step for step in steps), (index, steps)
