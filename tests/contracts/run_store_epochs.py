"""What the database must do with controllers that were replaced, on every database."""

import threading
from collections.abc import Callable

import pytest
from tests.contracts.run_store import DatabaseFixtures, batch, new_run, seed
from tests.contracts.run_store_leases import begin

from spikefleet.core.ids import AttemptId
from spikefleet.core.runs import RunState
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.epochs import StaleControllerError, read_epoch
from spikefleet.infra.stores.sql.run_access import RunAccess
from spikefleet.infra.stores.sql.runs import RunStore


def holder_of(database: Database) -> tuple[int, str]:
    with database.read() as connection:
        found = read_epoch(connection)
    return found.number, found.holder


class EpochContract(DatabaseFixtures):
    """A controller that was replaced changes nothing more."""

    @pytest.fixture
    def second(self, url: str) -> Database:
        return Database(url)

    def test_epochs_only_grow_and_name_their_holder(
        self, database: Database, second: Database
    ) -> None:
        assert holder_of(database) == (0, "")
        assert database.take_epoch("pod-a") == 1
        assert second.take_epoch("pod-b") == 2
        assert holder_of(database) == (2, "pod-b")
        second.close()

    def test_stale_controller_changes_no_row_by_any_write(
        self, database: Database, second: Database, store: RunStore
    ) -> None:
        database.take_epoch("pod-a")
        run = seed(store)
        second.take_epoch("pod-b")
        before = store.get_run(run.run_id), store.counts_by_state(), store.events(run.run_id)
        writes: list[Callable[[], object]] = [
            lambda: store.create_batch(batch(new_run("late"))),
            lambda: store.move_run(run, RunState.CANCELLED, kind="run.cancelled"),
            lambda: begin(store, run),
            lambda: RunAccess(database).keep_secret(AttemptId("attempt"), "secret"),
            lambda: database.take_epoch("pod-a"),
        ]
        for write in writes:
            with pytest.raises(StaleControllerError, match="epoch 2 belongs to pod-b"):
                write()
        after = store.get_run(run.run_id), store.counts_by_state(), store.events(run.run_id)
        assert after == before
        second.close()

    def test_replaced_controller_is_told_by_its_next_write_and_by_asking(
        self, database: Database, second: Database, store: RunStore
    ) -> None:
        told: list[str] = []
        database.on_replaced = lambda: told.append("replaced")
        database.require_epoch()
        database.take_epoch("pod-a")
        database.require_epoch()
        second.require_epoch()
        second.take_epoch("pod-b")
        assert told == []
        with pytest.raises(StaleControllerError):
            database.require_epoch()
        with pytest.raises(StaleControllerError):
            store.create_batch(batch(new_run("late")))
        assert told == ["replaced", "replaced"]
        second.close()

    def test_controller_that_may_act_no_more_writes_nothing_and_may_again_later(
        self, database: Database, store: RunStore
    ) -> None:
        leads = [True]
        database.write_while(lambda: leads[0])
        run = seed(store)
        leads[0] = False
        with pytest.raises(StaleControllerError, match="no longer the controller"):
            store.move_run(run, RunState.CANCELLED, kind="run.cancelled")
        assert store.get_run(run.run_id) == run
        leads[0] = True
        assert store.move_run(run, RunState.CANCELLED, kind="run.cancelled").version == 1

    def test_successor_and_processes_without_an_epoch_go_on_writing(
        self, database: Database, second: Database, store: RunStore
    ) -> None:
        database.take_epoch("pod-a")
        second.take_epoch("pod-b")
        fresh = RunStore(second).create_batch(batch(new_run("a")))
        assert store.get_run(fresh.run_ids[0]).state is RunState.QUEUED
        second.close()

    def test_two_that_take_over_at_once_never_get_one_number(
        self, database: Database, second: Database
    ) -> None:
        got: list[int] = []
        both = [
            threading.Thread(target=lambda each=each: got.append(each.take_epoch("x")))
            for each in (database, second)
        ]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join(30)
        assert sorted(got) == [1, 2]
        second.close()
