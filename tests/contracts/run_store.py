"""What the run store must do on every database. Subclasses give ``url``, a fresh database."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.failures.codes import FailureCode, RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.files import digest_document
from spikefleet.core.runs import IllegalMoveError, Run, RunState, run_id_for
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.runs import (
    AttemptEnd,
    BadCursorError,
    BatchNotFoundError,
    NewBatch,
    NewRun,
    RunChanges,
    RunNotFoundError,
    RunStore,
    StaleRunError,
)

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OUT_OF_MEMORY = Failure(
    FailureCode.HOST_OUT_OF_MEMORY,
    "memory ran out\x00 after \udc80",
    "sort",
    "rule-1",
    {"requested_bytes": 1 << 40, "ratio": float("nan")},
    {"batch_size": 30_000},
)


class TickingClock:
    """Time that moves a second forward with every look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = START

    def __call__(self) -> datetime:
        with self._lock:
            self.now += timedelta(seconds=1)
            return self.now


def new_run(name: str, *, sort: str = "same", backend: str = "kilosort4") -> NewRun:
    """A run to make; different names are different runs."""
    config = {"curation": {"snr_min": 5.0}, "name": name}
    return NewRun(
        recording_id="rec-1",
        recording_name="retina/2026-03-01/well-A1",
        stream="well000",
        backend=backend,
        config=config,
        config_digest=digest_document(config),
        sort_digest=digest_document(sort),
        identity=digest_document(["rec-1", "well000", config]),
    )


def batch(*runs: NewRun, key: str = "") -> NewBatch:
    """A submission of these runs."""
    return NewBatch("rig-3", "monday", key, runs)


def seed(store: RunStore, name: str = "a", *, sort: str = "same") -> Run:
    """Make one run and return it."""
    return store.get_run(store.create_batch(batch(new_run(name, sort=sort))).run_ids[0])


def fail(state: AttemptState, to: RunState, changes: RunChanges | None = None) -> AttemptEnd:
    """An attempt's end with a failure."""
    return AttemptEnd(
        attempt_state=state,
        run_to=to,
        kind="decision.retry",
        body={"rule_id": "rule-1", "evidence": {"peak": 1.5}},
        failure=OUT_OF_MEMORY,
        changes=changes or RunChanges(),
    )


def fail_run(store: RunStore, run: Run, to: RunState) -> Run:
    """End a sort with a failure that becomes the run's."""
    run, attempt = store.intend_attempt(run, Stage.SORT)
    changes = RunChanges(failed_attempt=attempt.attempt_id)
    return store.finish_attempt(run, attempt, fail(AttemptState.FAILED, to, changes))


class DatabaseFixtures:
    """``database`` and ``store`` on the subclass's ``url``."""

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def database(self, url: str) -> Iterator[Database]:
        database = Database(url)
        database.migrate()
        yield database
        database.close()

    @pytest.fixture
    def store(self, database: Database) -> RunStore:
        return RunStore(database, TickingClock())


class RunStoreContract(DatabaseFixtures):
    """Batches, moves, pages, history, watchers."""

    def test_a_run_comes_back_as_it_was_submitted(self, store: RunStore) -> None:
        wanted = new_run("a")
        made = store.create_batch(batch(wanted))
        run = store.get_run(made.run_ids[0])
        assert run.run_id == run_id_for(wanted.identity)
        assert (run.state, run.stage, run.version) == (RunState.QUEUED, Stage.PREFLIGHT, 0)
        assert (run.batch_id, run.submitter) == (made.batch_id, "rig-3")
        assert run.config == wanted.config
        assert run.recording_name == wanted.recording_name
        assert run.created_at == START + timedelta(seconds=1)
        assert run.created_at.tzinfo is UTC
        assert run.failure is None
        assert run.status is None
        [event] = store.events(run.run_id)
        assert (event.kind, event.from_state, event.to_state) == ("run.created", "", "queued")

    def test_the_same_key_returns_the_same_batch(self, store: RunStore) -> None:
        first = store.create_batch(batch(new_run("a"), key="k"))
        again = store.create_batch(batch(new_run("b"), key="k"))
        assert again == first
        assert store.get_batch(first.batch_id) == first
        assert sum(store.counts_by_state().values()) == 1

    def test_without_a_key_every_call_is_a_batch_of_its_own(self, store: RunStore) -> None:
        first = store.create_batch(batch(new_run("a")))
        second = store.create_batch(batch(new_run("a")))
        assert first.batch_id != second.batch_id
        assert second.run_ids == second.existing_run_ids == first.run_ids

    def test_a_run_that_exists_joins_the_new_batch(self, store: RunStore) -> None:
        first = store.create_batch(batch(new_run("a")))
        second = store.create_batch(batch(new_run("b"), new_run("a"), new_run("c")))
        assert second.run_ids[1] == first.run_ids[0]
        assert second.existing_run_ids == first.run_ids
        assert store.get_run(first.run_ids[0]).batch_id == first.batch_id
        listed, _ = store.list_runs(batch_id=second.batch_id)
        assert {run.run_id for run in listed} == set(second.run_ids)

    def test_the_same_run_twice_in_one_batch_is_one_run(self, store: RunStore) -> None:
        made = store.create_batch(batch(new_run("a"), new_run("a")))
        assert made.run_ids[0] == made.run_ids[1]
        assert made.existing_run_ids == ()
        assert len(store.moving_runs(START)) == 1

    def test_two_rigs_submitting_the_same_run_at_once_make_one(self, store: RunStore) -> None:
        with ThreadPoolExecutor(6) as pool:
            made = list(pool.map(lambda _: store.create_batch(batch(new_run("a"))), range(6)))
        assert len({record.run_ids for record in made}) == 1
        assert sum(not record.existing_run_ids for record in made) == 1
        assert [e.kind for e in store.events()] == ["run.created"]

    def test_the_same_key_at_once_makes_one_batch(self, store: RunStore) -> None:
        with ThreadPoolExecutor(6) as pool:
            made = list(
                pool.map(lambda _: store.create_batch(batch(new_run("a"), key="k")), range(6))
            )
        assert len({record.batch_id for record in made}) == 1

    def test_what_does_not_exist_is_named(self, store: RunStore) -> None:
        for call in (store.get_run, store.request_cancel):
            with pytest.raises(RunNotFoundError, match="run-absent"):
                call("run-absent")
        with pytest.raises(BatchNotFoundError, match="batch-absent"):
            store.get_batch("batch-absent")

    def test_pages_are_newest_first_and_complete(self, store: RunStore) -> None:
        made = store.create_batch(batch(*(new_run(str(n)) for n in range(7))))
        seen: list[str] = []
        cursor = ""
        while True:
            page, cursor = store.list_runs(limit=3, before=cursor)
            seen += [run.run_id for run in page]
            if not cursor:
                break
        assert seen == list(reversed(made.run_ids))
        assert [run.run_id for run in store.moving_runs(START)] == list(made.run_ids)

    def test_a_list_tells_all_of_a_run_but_its_configuration(self, store: RunStore) -> None:
        made = store.create_batch(batch(new_run("b"), new_run("a")))
        whole = [store.get_run(run_id) for run_id in made.run_ids]
        short = [replace(run, config={}) for run in whole]
        assert store.list_runs()[0] == short[::-1]
        assert store.summaries_of(made) == short
        assert all(run.config for run in whole)

    def test_a_page_ends_exactly_at_the_last_run(self, store: RunStore) -> None:
        store.create_batch(batch(new_run("a"), new_run("b")))
        page, cursor = store.list_runs(limit=2)
        assert (len(page), cursor) == (2, "")

    @pytest.mark.parametrize("cursor", ["x", "µ", "cnVuOmFiYw==", "YmF0Y2g6MQ=="])
    def test_a_cursor_from_elsewhere_is_refused(self, store: RunStore, cursor: str) -> None:
        with pytest.raises(BadCursorError):
            store.list_runs(before=cursor)

    def test_runs_are_listed_by_state(self, store: RunStore) -> None:
        run = seed(store, "a")
        seed(store, "b")
        store.move_run(run, RunState.CANCELLED, kind="run.cancelled")
        assert [r.run_id for r in store.list_runs(states=[RunState.CANCELLED])[0]] == [run.run_id]
        counts = store.counts_by_state()
        assert (counts[RunState.CANCELLED], counts[RunState.QUEUED]) == (1, 1)
        assert set(counts) == set(RunState)

    def test_a_move_writes_its_event_and_changes(self, store: RunStore) -> None:
        run, attempt = store.intend_attempt(seed(store), Stage.PREFLIGHT)
        due = START + timedelta(hours=1)
        changes = RunChanges(result={"n_channels": 16}, not_before=due)
        waiting = store.finish_attempt(
            run, attempt, fail(AttemptState.FAILED, RunState.WAITING, changes)
        )
        assert (waiting.state, waiting.not_before) == (RunState.WAITING, due)
        queued = store.move_run(
            waiting,
            RunState.QUEUED,
            kind="run.due",
            body={"rule_id": "due"},
            changes=RunChanges(stage=Stage.SORT, result={"n_units": 3}),
        )
        assert queued.result == {"n_channels": 16, "n_units": 3}
        assert queued.stage is Stage.SORT
        assert queued.not_before is None
        assert queued.updated_at > waiting.updated_at
        event = store.events(run.run_id)[-1]
        assert (event.kind, event.from_state, event.to_state, event.body) == (
            "run.due",
            "waiting",
            "queued",
            {"rule_id": "due"},
        )
        assert store.get_run(run.run_id) == queued

    def test_an_illegal_move_writes_nothing(self, store: RunStore) -> None:
        run, last = seed(store), store.last_seq()
        with pytest.raises(IllegalMoveError, match="queued to waiting"):
            store.move_run(run, RunState.WAITING, kind="x", changes=RunChanges(result={"a": 1}))
        assert store.get_run(run.run_id) == run
        assert store.last_seq() == last

    def test_an_old_reading_moves_nothing(self, store: RunStore) -> None:
        run = seed(store)
        moved = store.move_run(run, RunState.HELD, kind="hold")
        for to in (RunState.QUEUED, RunState.SUCCEEDED):
            with pytest.raises(StaleRunError, match="was read at version"):
                store.move_run(run, to, kind="x")
        assert store.get_run(run.run_id) == moved

    def test_of_two_movers_one_is_stale(self, store: RunStore) -> None:
        for number in range(5):
            run = seed(store, f"race-{number}")
            barrier = threading.Barrier(2)

            def move(
                to: RunState, run: Run = run, barrier: threading.Barrier = barrier
            ) -> RunState | None:
                barrier.wait()
                try:
                    return store.move_run(run, to, kind="race").state
                except StaleRunError:
                    return None

            with ThreadPoolExecutor(2) as pool:
                ends = list(pool.map(move, [RunState.HELD, RunState.CANCELLED]))
            assert ends.count(None) == 1
            assert store.get_run(run.run_id).state in ends
            assert [e.kind for e in store.events(run.run_id)].count("race") == 1

    def test_reopening_an_ended_run_clears_its_end(self, store: RunStore) -> None:
        run = store.request_cancel(seed(store).run_id, "wrong animal")
        changes = RunChanges(status=RunStatus.CANCELLED, result={"sort_prefix": "p", "n": 1})
        ended = store.move_run(run, RunState.CANCELLED, kind="run.cancelled", changes=changes)
        assert (ended.status, ended.cancel_requested) == (RunStatus.CANCELLED, True)
        again = store.move_run(
            ended,
            RunState.QUEUED,
            kind="run.retry_requested",
            changes=RunChanges(stage=Stage.SORT, drop_result=("sort_prefix",)),
        )
        assert (again.status, again.failure, again.cancel_requested) == (None, None, False)
        assert again.result == {"n": 1}

    def test_failures_keep_their_evidence(self, store: RunStore) -> None:
        run = fail_run(store, seed(store), RunState.FAILED)
        assert run.failure is not None
        assert run.failure.code is FailureCode.HOST_OUT_OF_MEMORY
        assert run.failure.message == "memory ran out\ufffd after ?"
        assert run.failure.evidence == {"requested_bytes": 1 << 40, "ratio": None}
        assert run.failure.suggest == {"batch_size": 30_000}

    def test_a_cancel_is_asked_for_once(self, store: RunStore) -> None:
        run = seed(store)
        asked = store.request_cancel(run.run_id, "wrong animal")
        assert asked.cancel_requested
        assert store.request_cancel(run.run_id, "again") == asked
        with pytest.raises(StaleRunError):
            store.move_run(run, RunState.HELD, kind="x")
        ended = store.move_run(asked, RunState.CANCELLED, kind="run.cancelled")
        assert store.request_cancel(run.run_id) == ended
        asked_events = [e for e in store.events() if e.kind == "run.cancel_requested"]
        assert [e.body for e in asked_events] == [{"reason": "wrong animal"}]

    def test_history_is_read_from_where_it_was_left(self, store: RunStore) -> None:
        run = seed(store, "a")
        last = store.last_seq()
        seed(store, "b")
        store.move_run(run, RunState.CANCELLED, kind="run.cancelled")
        assert [e.kind for e in store.events(run.run_id, last)] == ["run.cancelled"]
        assert len(store.events(after_seq=last)) == 2
        assert [e.seq for e in store.events()] == sorted(e.seq for e in store.events())

    def test_who_listens_to_a_run_hears_of_it_until_he_leaves(self, store: RunStore) -> None:
        run, other = seed(store, "a"), seed(store, "b")
        told: list[str] = []
        leave = store.on_change(lambda: told.append("run"), run.run_id)
        store.on_change(lambda: told.append("every"))
        store.request_cancel(run.run_id)
        store.request_cancel(other.run_id)
        assert told == ["run", "every", "every"]
        leave()
        store.move_run(store.get_run(run.run_id), RunState.CANCELLED, kind="run.cancelled")
        assert told[3:] == ["every"]

    def test_what_an_attempt_says_and_a_lane_that_opens_are_heard(self, store: RunStore) -> None:
        run, attempt = store.intend_attempt(seed(store), Stage.SORT)
        told: list[int] = []
        store.on_change(lambda: told.append(1), run.run_id)
        store.hear(attempt.attempt_id, {"fraction": 0.5})
        store.release_hold("kilosort4")
        assert len(told) == 2
