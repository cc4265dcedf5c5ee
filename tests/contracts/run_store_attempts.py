"""What the run store must do with attempts, reuse and holds, on every database."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select, text
from tests.contracts.run_store import OUT_OF_MEMORY, DatabaseFixtures, fail, fail_run, seed

from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.failures.errors import Failure
from spikefleet.core.runs import IllegalMoveError, RunState, attempt_name
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.migrations import MIGRATIONS
from spikefleet.infra.stores.sql.run_counts import EndCount, LiveCount
from spikefleet.infra.stores.sql.runs import AttemptEnd, RunChanges, RunStore, StaleRunError
from spikefleet.infra.stores.sql.tables import RUN


class AttemptContract(DatabaseFixtures):
    """Attempts, reuse of a finished sort, and holds."""

    def test_an_attempt_is_on_record_before_it_starts(self, store: RunStore) -> None:
        run, attempt = store.intend_attempt(seed(store), Stage.SORT, {"batch_size": 30_000})
        assert (run.state, run.stage) == (RunState.RUNNING, Stage.SORT)
        assert attempt.state is AttemptState.INTENDED
        assert attempt.name == attempt_name(run.run_id, Stage.SORT, 1)
        assert attempt.params == {"batch_size": 30_000}
        assert store.live_attempts() == [attempt] == store.attempts_of(run.run_id)
        event = store.events(run.run_id)[-1]
        assert (event.kind, event.to_state) == ("attempt.intended", "running")
        assert event.body["attempt_id"] == attempt.attempt_id

    def test_numbers_grow_by_stage(self, store: RunStore) -> None:
        run = seed(store)
        numbers = []
        for stage in (Stage.PREFLIGHT, Stage.SORT, Stage.SORT, Stage.CURATE):
            run, attempt = store.intend_attempt(run, stage)
            numbers.append((attempt.stage, attempt.number))
            run = store.finish_attempt(run, attempt, fail(AttemptState.FAILED, RunState.QUEUED))
        assert numbers == [
            (Stage.PREFLIGHT, 1),
            (Stage.SORT, 1),
            (Stage.SORT, 2),
            (Stage.CURATE, 1),
        ]
        assert [a.number for a in store.attempts_of(run.run_id)] == [1, 1, 2, 1]

    def test_an_intention_on_an_old_reading_writes_nothing(self, store: RunStore) -> None:
        run = seed(store)
        running, attempt = store.intend_attempt(run, Stage.SORT)
        with pytest.raises(StaleRunError):
            store.intend_attempt(run, Stage.SORT)
        with pytest.raises(IllegalMoveError):
            store.intend_attempt(running, Stage.SORT)
        assert store.live_attempts() == [attempt]

    def test_two_controllers_intend_one_attempt(self, store: RunStore) -> None:
        run = seed(store)
        barrier = threading.Barrier(4)

        def intend(_: int) -> bool:
            barrier.wait()
            try:
                store.intend_attempt(run, Stage.SORT)
            except StaleRunError:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(intend, range(4))).count(True) == 1
        assert len(store.live_attempts()) == 1

    def test_seen_running_twice_is_one_event(self, store: RunStore) -> None:
        run, attempt = store.intend_attempt(seed(store), Stage.SORT)
        running = store.mark_running(attempt)
        assert running.state is AttemptState.RUNNING
        assert store.mark_running(attempt) == running == store.find_attempt(attempt.name)
        kinds = [e.kind for e in store.events(run.run_id)]
        assert kinds.count("attempt.running") == 1
        assert store.get_run(run.run_id).version == run.version

    def test_an_end_and_its_decision_are_one(self, store: RunStore) -> None:
        run, attempt = store.intend_attempt(seed(store), Stage.SORT)
        end = AttemptEnd(
            AttemptState.SUCCEEDED,
            RunState.QUEUED,
            "stage.done",
            {"rule_id": "manifest"},
            outcome={"exit_code": 0},
            changes=RunChanges(stage=Stage.CURATE, result={"sort_prefix": "p"}),
        )
        moved = store.finish_attempt(run, store.mark_running(attempt), end)
        assert (moved.state, moved.stage) == (RunState.QUEUED, Stage.CURATE)
        ended = store.find_attempt(attempt.name)
        assert ended.state is AttemptState.SUCCEEDED
        assert ended.outcome == {"exit_code": 0}
        assert ended.ended_at == moved.updated_at
        assert [e.kind for e in store.events(run.run_id)][-2:] == [
            "attempt.succeeded",
            "stage.done",
        ]
        assert store.live_attempts() == []

    def test_an_end_whose_move_is_refused_is_not_written(self, store: RunStore) -> None:
        run, attempt = store.intend_attempt(seed(store), Stage.SORT)
        last = store.last_seq()
        with pytest.raises(IllegalMoveError):
            store.finish_attempt(run, attempt, fail(AttemptState.RUNNING, RunState.QUEUED))
        with pytest.raises(IllegalMoveError):
            store.finish_attempt(run, attempt, fail(AttemptState.FAILED, RunState.RUNNING))
        store.request_cancel(run.run_id)
        with pytest.raises(StaleRunError):
            store.finish_attempt(run, attempt, fail(AttemptState.FAILED, RunState.QUEUED))
        assert store.find_attempt(attempt.name) == attempt
        assert [e.kind for e in store.events(after_seq=last)] == ["run.cancel_requested"]

    def test_an_attempt_ends_once(self, store: RunStore) -> None:
        run, attempt = store.intend_attempt(seed(store), Stage.SORT)
        run = store.finish_attempt(run, attempt, fail(AttemptState.FAILED, RunState.QUEUED))
        run, _ = store.intend_attempt(run, Stage.SORT)
        with pytest.raises(IllegalMoveError, match="failed"):
            store.finish_attempt(run, attempt, fail(AttemptState.CANCELLED, RunState.QUEUED))
        with pytest.raises(IllegalMoveError):
            store.mark_running(attempt)

    def test_an_attempt_ends_with_its_own_run_only(self, store: RunStore) -> None:
        run, _ = store.intend_attempt(seed(store, "a"), Stage.SORT)
        _, other = store.intend_attempt(seed(store, "b"), Stage.SORT)
        with pytest.raises(IllegalMoveError, match="belongs to"):
            store.finish_attempt(run, other, fail(AttemptState.FAILED, RunState.QUEUED))

    def test_a_run_with_a_live_attempt_does_not_slip_away(self, store: RunStore) -> None:
        run, attempt = store.intend_attempt(seed(store), Stage.SORT)
        with pytest.raises(IllegalMoveError, match="finish_attempt"):
            store.move_run(run, RunState.CANCELLED, kind="x")
        assert store.get_run(run.run_id) == run
        assert store.live_attempts() == [attempt]

    def test_a_run_without_an_attempt_is_not_running(self, store: RunStore) -> None:
        run = seed(store)
        with pytest.raises(IllegalMoveError, match="intend_attempt"):
            store.move_run(run, RunState.RUNNING, kind="x")
        assert store.get_run(run.run_id) == run

    def test_progress_is_no_history(self, store: RunStore) -> None:
        run, attempt = store.intend_attempt(seed(store), Stage.SORT)
        last = store.last_seq()
        store.hear(attempt.attempt_id, {"fraction": 0.5, "eta_s": float("inf")})
        assert store.get_run(run.run_id).progress == {"fraction": 0.5, "eta_s": None}
        assert store.last_seq() == last
        run = store.finish_attempt(run, attempt, fail(AttemptState.FAILED, RunState.QUEUED))
        assert store.hear(attempt.attempt_id, {"fraction": 0.9}).stop_requested
        assert store.get_run(run.run_id).progress == {"fraction": 0.5, "eta_s": None}
        assert store.intend_attempt(run, Stage.SORT)[0].progress == {}

    def test_an_attempt_is_found_by_its_name_after_its_end_too(self, store: RunStore) -> None:
        run, attempt = store.intend_attempt(seed(store), Stage.SORT)
        assert store.find_attempt(attempt.name) == attempt
        store.finish_attempt(run, attempt, fail(AttemptState.FAILED, RunState.QUEUED))
        found = store.find_attempt(attempt.name)
        assert found is not None
        assert found.state is AttemptState.FAILED
        assert store.find_attempt("s-of-nobody-sort-1") is None

    def test_a_runs_failure_is_its_attempts_and_is_stored_once(self, store: RunStore) -> None:
        run = fail_run(store, seed(store), RunState.WAITING)
        (failed,) = store.attempts_of(run.run_id)
        assert run.failure == failed.failure is not None
        assert store.list_runs()[0][0].failure == run.failure
        told = [event.body for event in store.events(run.run_id)]
        assert [body.get("failure") for body in told] == [None] * len(told)
        assert "host_out_of_memory" in [body.get("code") for body in told]
        run = store.move_run(run, RunState.QUEUED, kind="run.due")
        assert run.failure == failed.failure
        run = store.move_run(run, RunState.QUEUED, kind="x", changes=RunChanges(clear_failure=True))
        assert run.failure is None
        assert store.attempts_of(run.run_id) == [failed]

    def test_a_reopened_run_keeps_its_failure_only_when_asked(self, store: RunStore) -> None:
        ended = fail_run(store, seed(store), RunState.FAILED)
        kept = store.move_run(
            ended, RunState.QUEUED, kind="x", changes=RunChanges(keep_failure=True)
        )
        assert kept.failure == ended.failure is not None
        ended = fail_run(store, seed(store, "b"), RunState.FAILED)
        assert store.move_run(ended, RunState.QUEUED, kind="x").failure is None

    def test_what_an_outcome_says_of_a_failure_is_not_stored_beside_it(
        self, store: RunStore
    ) -> None:
        run, attempt = store.intend_attempt(seed(store), Stage.SORT)
        outcome = {"failure": OUT_OF_MEMORY.to_json(), "wall_s": 1.5}
        end = fail(AttemptState.FAILED, RunState.QUEUED)
        run = store.finish_attempt(run, attempt, replace(end, outcome=outcome))
        assert store.attempts_of(run.run_id)[0].outcome == {"wall_s": 1.5}

    def test_a_failure_of_an_earlier_version_is_found_at_its_attempt_or_stays_as_it_was(
        self, store: RunStore, database: Database
    ) -> None:
        one, two = (fail_run(store, seed(store, name), RunState.FAILED) for name in ("a", "b"))
        other = {"code": "lost", "message": "Gone."}
        with database.write() as connection:
            for run, copy in ((one, one.failure.to_json()), (two, other)):
                here = RUN.c.run_id == run.run_id
                connection.execute(
                    RUN.update().where(here).values(failure=copy, failed_attempt=None)
                )
            step = next(step for step in MIGRATIONS if step.version == 9)
            for statement in step.statements_for(database.dialect)[1:]:
                connection.execute(text(statement))
            stored = connection.execute(select(RUN.c.run_id, RUN.c.failure)).all()
        assert {row.run_id: row.failure for row in stored} == {one.run_id: None, two.run_id: other}
        assert store.get_run(one.run_id).failure == one.failure
        assert store.get_run(two.run_id).failure == Failure.from_json(other)

    def test_a_held_run_always_has_a_hold_to_release(self, store: RunStore) -> None:
        run = seed(store)
        fail_run(store, run, RunState.HELD)
        [hold] = store.holds()
        assert (hold.lane, hold.run_id, hold.held_run_count) == ("kilosort4", run.run_id, 1)
        assert hold.reason.startswith("memory ran out")

    def test_releasing_a_lane_queues_its_runs_and_no_others(self, store: RunStore) -> None:
        names = ("a", "b", "c")
        lanes = ("ks4@1", "ks4@1", "lupin")
        runs = [
            store.move_run(
                seed(store, name), RunState.HELD, kind="h", changes=RunChanges(lane=lane)
            )
            for name, lane in zip(names, lanes, strict=True)
        ]
        assert store.release_hold("ks4@1") == 2
        assert store.release_hold("ks4@1") == 0
        states = [store.get_run(run.run_id).state for run in runs]
        assert states == [RunState.QUEUED, RunState.QUEUED, RunState.HELD]
        assert [hold.lane for hold in store.holds()] == ["lupin"]
        last = store.events(runs[0].run_id)[-1]
        assert (last.kind, last.from_state, last.to_state) == ("hold.released", "held", "queued")

    def test_attempts_under_way_are_counted_until_they_end(self, store: RunStore) -> None:
        assert store.live_counts() == []
        first, attempt = store.intend_attempt(seed(store, "a"), Stage.SORT)
        store.intend_attempt(seed(store, "b"), Stage.SORT)
        assert store.live_counts() == [LiveCount("kilosort4", "sort", "start", 2)]
        store.mark_running(attempt)
        assert self._live(store) == {"start": 1, "running": 1}
        store.hear(attempt.attempt_id, {"step": "waits for its image", "waits_for": "image"})
        assert self._live(store) == {"start": 1, "image": 1}
        store.hear(attempt.attempt_id, {"step": "begins", "waits_for": ""})
        assert self._live(store) == {"start": 1, "running": 1}
        end = AttemptEnd(AttemptState.SUCCEEDED, RunState.QUEUED, "stage.sort.done", {})
        store.finish_attempt(store.get_run(first.run_id), attempt, end)
        assert store.live_counts() == [LiveCount("kilosort4", "sort", "start", 1)]

    def _live(self, store: RunStore) -> dict[str, int]:
        return {live.phase: live.count for live in store.live_counts()}

    def test_ends_are_counted_from_the_history(self, store: RunStore) -> None:
        for name in ("a", "b"):
            run, attempt = store.intend_attempt(seed(store, name), Stage.SORT)
            body = {"stage": "sort", "code": "sorter_crash"}
            again = AttemptEnd(
                AttemptState.FAILED, RunState.QUEUED, "decision.retry_same", body, OUT_OF_MEMORY
            )
            run = store.finish_attempt(run, attempt, again)
        store.move_run(run, RunState.CANCELLED, kind="run.cancelled")
        assert sorted(store.end_counts(), key=lambda end: end.kind) == [
            EndCount("decision.retry_same", "kilosort4", "sort", "sorter_crash", "", 2),
            EndCount("run.cancelled", "kilosort4", "", "", "", 1),
        ]
