"""What the run store must do with leases, on every database."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.contracts.run_store import DatabaseFixtures, fail, seed

from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.runs import Attempt, LeaseAnswer, LeaseRefusal, Run, RunState
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.run_leases import LEASE_S, database_now
from spikefleet.infra.stores.sql.runs import AttemptNotFoundError, LeaseTerms, RunStore


class SetClock:
    """Time that moves only when told."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def skip(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def begin(store: RunStore, run: Run) -> tuple[Run, Attempt]:
    """Intend a sort attempt."""
    return store.intend_attempt(store.get_run(run.run_id), Stage.SORT)


def end(store: RunStore, attempt: Attempt, *, may_live: bool = False) -> None:
    """End an attempt; ``may_live`` when nobody saw its process end."""
    run = store.get_run(attempt.run_id)
    ending = fail(AttemptState.FAILED, RunState.QUEUED)
    store.finish_attempt(run, attempt, replace(ending, holder_may_live=may_live))


class LeaseContract(DatabaseFixtures):
    """Two attempts can never write one run."""

    @pytest.fixture
    def clock(self) -> SetClock:
        return SetClock()

    @pytest.fixture
    def store(self, database: Database, clock: SetClock) -> RunStore:
        return RunStore(database, terms=LeaseTerms(60.0, clock))

    def test_an_attempt_takes_the_lease_and_renews_it(
        self, store: RunStore, clock: SetClock
    ) -> None:
        run, attempt = begin(store, seed(store))
        assert store.lease_of(run.run_id) is None
        assert store.take_lease(attempt.attempt_id, "a") == LeaseAnswer(None, "a", 1, 60.0)
        clock.skip(50)
        assert store.take_lease(attempt.attempt_id, "a").refusal is None
        lease = store.lease_of(run.run_id)
        assert lease is not None
        assert (lease.token, lease.holder, lease.left_s) == (1, "a", 60.0)

    def test_a_report_renews_the_lease_and_a_read_heartbeat_does_too(
        self, store: RunStore, clock: SetClock
    ) -> None:
        run, attempt = begin(store, seed(store))
        assert store.hear(attempt.attempt_id, {}).lease is None
        assert store.lease_of(run.run_id) is None
        heard = store.hear(attempt.attempt_id, {"step": "sort"}, "a")
        assert heard.lease is not None
        assert heard.lease.refusal is None
        clock.skip(50)
        store.hear(attempt.attempt_id, {"step": "sort"})
        lease = store.lease_of(run.run_id)
        assert lease is not None
        assert lease.left_s == 60.0

    def test_a_second_process_of_one_attempt_is_refused_for_ever(
        self, store: RunStore, clock: SetClock
    ) -> None:
        _, attempt = begin(store, seed(store))
        store.take_lease(attempt.attempt_id, "a")
        second = store.take_lease(attempt.attempt_id, "b")
        assert second == LeaseAnswer(LeaseRefusal.OTHER_PROCESS, "a", 1, 60.0)
        clock.skip(3600)
        assert store.take_lease(attempt.attempt_id, "b").refusal is LeaseRefusal.OTHER_PROCESS
        assert store.take_lease(attempt.attempt_id, "a").refusal is None

    def test_the_lease_of_one_that_vanished_ends_by_time_and_not_before(
        self, store: RunStore, clock: SetClock
    ) -> None:
        run, first = begin(store, seed(store))
        store.take_lease(first.attempt_id, "a")
        end(store, first, may_live=True)
        _, second = begin(store, run)
        clock.skip(59)
        refused = store.take_lease(second.attempt_id, "b")
        assert refused == LeaseAnswer(LeaseRefusal.HELD, "a", 1, 1.0)
        assert "lease.reclaimed" not in [e.kind for e in store.events(run.run_id)]
        clock.skip(1)
        assert store.take_lease(second.attempt_id, "b") == LeaseAnswer(None, "b", 2, 60.0)
        [event] = [e for e in store.events(run.run_id) if e.kind == "lease.reclaimed"]
        assert event.body["old_holder"] == "a"
        assert (event.body["old_token"], event.body["token"]) == (1, 2)

    def test_the_lease_of_one_seen_to_end_is_free_at_once(self, store: RunStore) -> None:
        run, first = begin(store, seed(store))
        store.take_lease(first.attempt_id, "a")
        end(store, first)
        _, second = begin(store, run)
        assert store.take_lease(second.attempt_id, "b").refusal is None
        assert "lease.reclaimed" not in [e.kind for e in store.events(run.run_id)]

    def test_a_late_holder_learns_that_it_was_superseded(
        self, store: RunStore, clock: SetClock
    ) -> None:
        run, first = begin(store, seed(store))
        store.take_lease(first.attempt_id, "a")
        end(store, first, may_live=True)
        assert store.take_lease(first.attempt_id, "a").refusal is LeaseRefusal.ENDED
        clock.skip(61)
        _, second = begin(store, run)
        store.take_lease(second.attempt_id, "b")
        end(store, second)
        late = store.take_lease(first.attempt_id, "a")
        assert late == LeaseAnswer(LeaseRefusal.SUPERSEDED, "b", 2, 0.0)
        heard = store.hear(first.attempt_id, {}, "a")
        assert heard.stop_requested
        assert heard.lease == late

    def test_a_lease_that_ran_out_is_renewed_while_nobody_took_it(
        self, store: RunStore, clock: SetClock
    ) -> None:
        _, attempt = begin(store, seed(store))
        store.take_lease(attempt.attempt_id, "a")
        clock.skip(3600)
        assert store.take_lease(attempt.attempt_id, "a").refusal is None

    def test_only_sorts_take_leases(self, store: RunStore) -> None:
        run = seed(store)
        _, attempt = store.intend_attempt(run, Stage.PREFLIGHT)
        assert store.take_lease(attempt.attempt_id, "a").refusal is LeaseRefusal.ENDED
        assert store.lease_of(run.run_id) is None
        with pytest.raises(AttemptNotFoundError):
            store.take_lease("attempt-of-nobody", "a")

    def test_of_many_processes_at_once_one_gets_it(self, store: RunStore) -> None:
        _, attempt = begin(store, seed(store))
        barrier = threading.Barrier(4)

        def take(number: int) -> bool:
            barrier.wait()
            return store.take_lease(attempt.attempt_id, f"p{number}").refusal is None

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(take, range(4))).count(True) == 1

    def test_time_is_the_databases_own(self, database: Database) -> None:
        store = RunStore(database, clock=lambda: datetime(2001, 1, 1, tzinfo=UTC))
        run, attempt = begin(store, seed(store))
        store.take_lease(attempt.attempt_id, "a")
        with database.read() as connection:
            now = database_now(connection)
        lease = store.lease_of(run.run_id)
        assert lease is not None
        assert abs((lease.expires_at - now).total_seconds() - LEASE_S) < 5

    @pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
    def test_no_order_of_events_lets_two_processes_write(
        self, database: Database, request: pytest.FixtureRequest
    ) -> None:
        machine = type("Machine", (LeaseMachine,), {"database": database})
        machine.TestCase.settings = settings(  # type: ignore[attr-defined]
            max_examples=self.max_examples, stateful_step_count=25, deadline=None
        )
        machine.TestCase().runTest()  # type: ignore[attr-defined]

    max_examples = 60


@dataclass
class Process:
    """A runner process as it sees itself: may it write, and when was it last told so?"""

    attempt: Attempt
    holder: str
    may_write: bool = False
    told_at: datetime | None = None


class LeaseMachine(RuleBasedStateMachine):
    """Attempts begin, end or vanish; processes ask in any order; time passes as it likes."""

    database: Database
    made = 0

    def __init__(self) -> None:
        super().__init__()
        LeaseMachine.made += 1
        self.clock = SetClock()
        self.store = RunStore(self.database, terms=LeaseTerms(60.0, self.clock))
        self.run = seed(self.store, f"machine-{LeaseMachine.made}-{id(self)}")
        self.live: Attempt | None = None
        self.processes: list[Process] = []
        self.tokens: list[int] = [0]

    @precondition(lambda self: self.live is None)
    @rule()
    def begin(self) -> None:
        _, self.live = begin(self.store, self.run)

    @precondition(lambda self: self.live is not None)
    @rule()
    def start_process(self) -> None:
        assert self.live is not None
        self.processes.append(Process(self.live, f"p{len(self.processes)}"))

    @precondition(lambda self: self.live is not None)
    @rule()
    def see_it_end(self) -> None:
        """The launcher saw every process of the attempt end."""
        assert self.live is not None
        end(self.store, self.live)
        gone = self.live.attempt_id
        self.processes = [p for p in self.processes if p.attempt.attempt_id != gone]
        self.live = None

    @precondition(lambda self: self.live is not None)
    @rule()
    def lose_sight(self) -> None:
        """The launcher no longer knows the attempt; its processes go on."""
        assert self.live is not None
        end(self.store, self.live, may_live=True)
        self.live = None

    @precondition(lambda self: self.processes)
    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        process = data.draw(st.sampled_from(self.processes))
        answer = self.store.take_lease(process.attempt.attempt_id, process.holder)
        process.may_write = answer.refusal is None
        if process.may_write:
            process.told_at = self.clock.now
            self.tokens.append(answer.token)

    @precondition(lambda self: self.processes)
    @rule(data=st.data())
    def report(self, data: st.DataObject) -> None:
        process = data.draw(st.sampled_from(self.processes))
        heard = self.store.hear(process.attempt.attempt_id, {}, process.holder)
        assert heard.lease is not None
        process.may_write = heard.lease.refusal is None
        if process.may_write:
            process.told_at = self.clock.now
            assert not heard.stop_requested

    @rule(seconds=st.sampled_from([1, 30, 59, 60, 61]))
    def pass_time(self, seconds: int) -> None:
        self.clock.skip(seconds)

    @invariant()
    def one_writer_at_a_time(self) -> None:
        """Within a lease's length after being told so, nobody else was told so."""
        recent = [
            p
            for p in self.processes
            if p.may_write and p.told_at and (self.clock.now - p.told_at).total_seconds() < 60
        ]
        assert len({p.holder for p in recent}) <= 1

    @invariant()
    def tokens_never_go_back(self) -> None:
        assert self.tokens == sorted(self.tokens)

    @invariant()
    def one_process_an_attempt(self) -> None:
        told = [(p.attempt.attempt_id, p.holder) for p in self.processes if p.told_at is not None]
        assert len({attempt for attempt, _ in told}) == len(set(told))
