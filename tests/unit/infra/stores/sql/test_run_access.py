"""Who submitted a run, who may speak for an attempt: on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contracts.run_store import new_run

from spikefleet.core.attempts import Stage
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.run_access import RunAccess
from spikefleet.infra.stores.sql.run_values import NewBatch
from spikefleet.infra.stores.sql.runs import RunStore


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'runs.db'}")
    made.migrate()
    yield made
    made.close()


def test_everybody_who_submitted_may_read_and_the_first_alone_may_change(
    database: Database,
) -> None:
    runs, access = RunStore(database), RunAccess(database)
    (run_id,) = runs.create_batch(NewBatch("a", "", "", (new_run("a"),), "uid:1")).run_ids
    assert runs.create_batch(NewBatch("b", "", "", (new_run("a"),), "uid:2")).run_ids == (run_id,)
    assert [access.may_read(run_id, f"uid:{uid}") for uid in (1, 2, 3)] == [True, True, False]
    assert access.owner_of(run_id) == "uid:1"
    assert not access.may_read("run-none", "uid:1")
    assert access.owner_of("run-none") == ""


def test_an_attempt_is_spoken_for_with_its_last_secret_only(database: Database) -> None:
    runs, access = RunStore(database), RunAccess(database)
    (run_id,) = runs.create_batch(NewBatch("a", "", "", (new_run("a"),))).run_ids
    _, attempt = runs.intend_attempt(runs.get_run(run_id), Stage.SORT)
    assert not access.has_secret(attempt.attempt_id, "")
    access.keep_secret(attempt.attempt_id, "first")
    access.keep_secret(attempt.attempt_id, "second")
    said = {word: access.has_secret(attempt.attempt_id, word) for word in ("", "first", "second")}
    assert said == {"": False, "first": False, "second": True}
    assert not access.has_secret("attempt-of-nobody", "second")
    with database.read() as connection:
        stored = str(connection.exec_driver_sql("SELECT * FROM attempt").mappings().one())
    assert "second" not in stored
