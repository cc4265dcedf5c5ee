"""Random histories: whatever is asked of the store, the tables of legal moves hold."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.contracts.run_store import DatabaseFixtures, TickingClock, fail, seed

from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.runs import RUN_MOVES, TERMINAL, Attempt, IllegalMoveError, Run, RunState
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.runs import RunStore, StaleRunError

REFUSED = (IllegalMoveError, StaleRunError)
LIVE = (AttemptState.INTENDED, AttemptState.RUNNING)


class RandomController(RuleBasedStateMachine):
    """Asks for anything, legal or not, on fresh and on old readings of one run."""

    database: Database
    numbers = iter(range(1_000_000))

    def __init__(self) -> None:
        super().__init__()
        self.store = RunStore(self.database, TickingClock())
        self.run_id = seed(self.store, f"history-{next(self.numbers)}").run_id
        self.readings: list[Run] = [self.store.get_run(self.run_id)]
        self.attempts: list[Attempt] = []

    def _reading(self, stale: bool) -> Run:
        self.readings.append(self.store.get_run(self.run_id))
        return self.readings[0 if stale else -1]

    @rule(to=st.sampled_from(RunState), stale=st.booleans())
    def move(self, to: RunState, stale: bool) -> None:
        before, run = self.store.get_run(self.run_id), self._reading(stale)
        live = [a for a in self.store.attempts_of(self.run_id) if a.state in LIVE]
        fresh = run.version == before.version
        try:
            after = self.store.move_run(run, to, kind="moved")
        except REFUSED:
            by_attempt = bool(live) or to is RunState.RUNNING
            assert not fresh or to not in RUN_MOVES[before.state] or by_attempt
            assert self.store.get_run(self.run_id) == before
        else:
            assert fresh
            assert to in RUN_MOVES[before.state]
            assert after.state is to
            assert after.version == before.version + 1

    @rule(stage=st.sampled_from(Stage), stale=st.booleans())
    def intend(self, stage: Stage, stale: bool) -> None:
        before, run = self.store.get_run(self.run_id), self._reading(stale)
        try:
            _, attempt = self.store.intend_attempt(run, stage)
        except REFUSED:
            assert run.version != before.version or before.state is not RunState.QUEUED
        else:
            self.attempts.append(attempt)
            assert before.state is RunState.QUEUED

    @precondition(lambda self: self.attempts)
    @rule(data=st.data())
    def see_running(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(self.attempts))
        before = self.store.find_attempt(attempt.name).state
        try:
            self.store.mark_running(attempt)
        except IllegalMoveError:
            assert before not in LIVE

    @precondition(lambda self: self.attempts)
    @rule(
        data=st.data(),
        end=st.sampled_from(AttemptState),
        to=st.sampled_from(RunState),
        stale=st.booleans(),
    )
    def finish(self, data: st.DataObject, end: AttemptState, to: RunState, stale: bool) -> None:
        attempt = data.draw(st.sampled_from(self.attempts))
        before = self.store.find_attempt(attempt.name)
        try:
            self.store.finish_attempt(self._reading(stale), attempt, fail(end, to))
        except REFUSED:
            assert self.store.find_attempt(attempt.name) == before
        else:
            assert before.state in LIVE
            assert end not in LIVE

    @rule()
    def ask_to_cancel(self) -> None:
        self.store.request_cancel(self.run_id)

    @rule()
    def release(self) -> None:
        self.store.release_hold("kilosort4")

    @invariant()
    def history_explains_the_state(self) -> None:
        state = ""
        for event in self.store.events(self.run_id):
            if not event.to_state:
                continue
            assert event.from_state == state
            if state in [str(end) for end in TERMINAL]:
                assert event.to_state == RunState.QUEUED
            state = event.to_state
        assert state == self.store.get_run(self.run_id).state

    @invariant()
    def a_running_run_has_one_live_attempt_and_no_other_has_any(self) -> None:
        live = [a for a in self.store.attempts_of(self.run_id) if a.state in LIVE]
        assert len(live) == (self.store.get_run(self.run_id).state is RunState.RUNNING)

    @invariant()
    def a_held_run_has_a_hold(self) -> None:
        if self.store.get_run(self.run_id).state is RunState.HELD:
            assert self.store.is_held("kilosort4")


class RunHistoryContract(DatabaseFixtures):
    """The random controller on the subclass's database."""

    max_examples = 25

    @pytest.mark.timeout(120)
    def test_no_sequence_of_requests_breaks_the_tables_of_moves(self, database: Database) -> None:
        machine = type("Machine", (RandomController,), {"database": database})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=self.max_examples,
                stateful_step_count=20,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
