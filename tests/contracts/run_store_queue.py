"""Which runs a round of the controller is shown, on every database."""

from datetime import timedelta

from sqlalchemy import text
from tests.contracts.run_store import START, DatabaseFixtures, fail, seed

from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.files import digest_document
from spikefleet.core.runs import Run, RunState
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.migrations import MIGRATIONS
from spikefleet.infra.stores.sql.run_queue import WaitingSorts
from spikefleet.infra.stores.sql.runs import AttemptEnd, RunChanges, RunStore

LATER = START + timedelta(hours=1)
BACKENDS = ("kilosort4", "lupin")


def wait_for_sort(store: RunStore, name: str, *, sort: str = "same") -> Run:
    """A run that has passed its preflight and is queued for its sort."""
    changes = RunChanges(stage=Stage.SORT)
    return store.move_run(seed(store, name, sort=sort), RunState.QUEUED, kind="x", changes=changes)


def sorted_with(store: RunStore, run: Run, **result: object) -> Run:
    """The run after its sort, with this result."""
    started, attempt = store.intend_attempt(run, Stage.SORT)
    changes = RunChanges(stage=Stage.CURATE, result=result)
    end = AttemptEnd(AttemptState.SUCCEEDED, RunState.QUEUED, "done", changes=changes)
    return store.finish_attempt(started, attempt, end)


class QueueContract(DatabaseFixtures):
    """Runs that move, sorts that are taken over, sorts that start."""

    def test_a_run_that_waits_for_a_slot_is_not_among_those_that_move(
        self, store: RunStore
    ) -> None:
        begins = seed(store, "a")
        wait_for_sort(store, "b")
        assert [run.run_id for run in store.moving_runs(LATER)] == [begins.run_id]

    def test_a_run_whose_time_has_not_come_is_not_among_those_that_move(
        self, store: RunStore
    ) -> None:
        run, attempt = store.intend_attempt(seed(store, "a"), Stage.PREFLIGHT)
        assert [run.run_id for run in store.moving_runs(START)] == [run.run_id]
        due = RunChanges(not_before=LATER)
        store.finish_attempt(run, attempt, fail(AttemptState.FAILED, RunState.WAITING, due))
        assert store.moving_runs(LATER - timedelta(seconds=1)) == []
        assert [run.run_id for run in store.moving_runs(LATER)] == [run.run_id]

    def test_whoever_is_to_be_cancelled_moves_wherever_it_waits(self, store: RunStore) -> None:
        queued, held = wait_for_sort(store, "a"), seed(store, "b")
        store.move_run(held, RunState.HELD, kind="x")
        assert store.moving_runs(LATER) == []
        for run in (queued, held):
            store.request_cancel(run.run_id)
        assert [r.run_id for r in store.moving_runs(LATER)] == [queued.run_id, held.run_id]

    def test_a_run_that_has_ended_never_moves(self, store: RunStore) -> None:
        store.request_cancel(seed(store, "a").run_id)
        (run,) = store.moving_runs(LATER)
        store.move_run(run, RunState.CANCELLED, kind="x")
        assert store.moving_runs(LATER) == []

    def test_as_many_sorts_start_as_there_are_slots_the_oldest_first(self, store: RunStore) -> None:
        runs = [wait_for_sort(store, name, sort=name) for name in "abc"]
        ids = [run.run_id for run in runs]
        assert store.sorts_to_start(BACKENDS, 2) == ids[:2]
        assert store.sorts_to_start(["lupin"], 2) == []
        assert store.queued_sorts("kilosort4") == ids
        assert store.queued_sorts("lupin") == []

    def test_only_the_oldest_of_several_starts_the_same_sort(self, store: RunStore) -> None:
        older, younger = wait_for_sort(store, "a"), wait_for_sort(store, "b")
        other = wait_for_sort(store, "c", sort="other")
        assert store.sorts_to_start(BACKENDS, 9) == [older.run_id, other.run_id]
        store.intend_attempt(older, Stage.SORT)
        assert store.sorts_to_start(BACKENDS, 9) == [other.run_id]
        assert younger.run_id not in store.sorts_to_start(BACKENDS, 9)

    def test_nobody_waits_for_a_sort_that_was_given_up(self, store: RunStore) -> None:
        older, younger = wait_for_sort(store, "a"), wait_for_sort(store, "b")
        store.move_run(older, RunState.FAILED, kind="x")
        assert store.sorts_to_start(BACKENDS, 9) == [younger.run_id]

    def test_a_finished_sort_is_taken_over_and_not_sorted_again(self, store: RunStore) -> None:
        done = sorted_with(store, wait_for_sort(store, "a"), sort_prefix="p")
        waits = [wait_for_sort(store, name).run_id for name in "bc"]
        own = wait_for_sort(store, "d")
        own = store.move_run(
            own, RunState.QUEUED, kind="x", changes=RunChanges(result={"fresh_sort": True})
        )
        assert store.sorts_to_take_over() == [WaitingSorts(done.sort_digest, tuple(waits))]
        assert store.sorted_runs(done.sort_digest) == [done]
        assert store.sorted_runs(digest_document("other")) == []
        assert store.sorts_to_start(BACKENDS, 9) == [own.run_id]

    def test_a_sort_that_was_changed_on_the_way_is_nobody_elses(self, store: RunStore) -> None:
        changed = sorted_with(
            store, wait_for_sort(store, "a"), sort_prefix="p", result_affecting=True
        )
        waits = wait_for_sort(store, "b")
        assert store.sorts_to_take_over() == []
        assert store.sorted_runs(changed.sort_digest) == []
        assert store.sorts_to_start(BACKENDS, 9) == [waits.run_id]

    def test_a_database_of_an_earlier_release_learns_which_sorts_are_done(
        self, database: Database, store: RunStore
    ) -> None:
        done = sorted_with(store, wait_for_sort(store, "a"), sort_prefix="p")
        changed = sorted_with(
            store, wait_for_sort(store, "b", sort="2"), sort_prefix="p", result_affecting=True
        )
        waits = wait_for_sort(store, "c")
        with database.write() as connection:
            connection.execute(text("UPDATE run SET sort_mark = ''"))
            for statement in MIGRATIONS[5].statements_for(database.dialect)[1:3]:
                connection.execute(text(statement))
        assert store.sorted_runs(done.sort_digest) == [done]
        assert store.sorted_runs(changed.sort_digest) == []
        assert store.sorts_to_take_over() == [WaitingSorts(done.sort_digest, (waits.run_id,))]
