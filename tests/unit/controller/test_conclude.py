"""What is written when a stage ends: next state, budgets, reasons, pointer."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spikefleet.controller.conclude import Conclusions, spent_before
from spikefleet.controller.judge import Verdict
from spikefleet.controller.outcome_counts import OutcomeCounts
from spikefleet.controller.stage_threads import StageResult
from spikefleet.controller.wishes import Wishes
from spikefleet.core.attempts import AttemptOutcome, Stage
from spikefleet.core.failures.codes import FailureCode, RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.policy.decide import Policy
from spikefleet.core.policy.sizes import SizeRange, SorterMachine
from spikefleet.core.runs import Attempt, Run, RunState
from spikefleet.infra.metrics import Metrics
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.stores.sql.run_leases import LEASE_S
from spikefleet.infra.stores.sql.runs import (
    LeaseTerms,
    NewBatch,
    NewRun,
    RunChanges,
    RunStore,
    StaleRunError,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
IDENTITY = "0123456789abcdef"
RUN_ID = f"run-{IDENTITY}"


@dataclass
class Room:
    """One run in a real store, and the conclusions drawn about it."""

    folder: Path

    def __post_init__(self) -> None:
        self.database = Database(f"sqlite:///{self.folder / 'runs.db'}")
        self.database.migrate()
        self.runs = RunStore(self.database, lambda: NOW, LeaseTerms(clock=lambda: NOW))
        self.artifacts = LocalArtifacts(self.folder / "artifacts")
        self.conclusions = Conclusions(
            self.runs,
            self.artifacts,
            OutcomeCounts(Metrics(), lambda: NOW),
            policy=lambda run: Policy(),
            clock=lambda: NOW,
        )
        new = NewRun("rec-1", "a/b/c", "w0", "kilosort4", {}, "c", "s", IDENTITY)
        self.runs.create_batch(NewBatch("", "", "", (new,)))

    @property
    def run(self) -> Run:
        return self.runs.get_run(RUN_ID)

    def begin(self, stage: Stage) -> tuple[Run, Attempt]:
        run = self.run
        if run.state is RunState.WAITING:
            run = self.runs.move_run(run, RunState.QUEUED, kind="run.due")
        return self.runs.intend_attempt(run, stage)

    def fail(self, code: FailureCode, stage: Stage = Stage.SORT) -> Run:
        run, attempt = self.begin(stage)
        result = StageResult(failure=Failure(code, "It broke.", rule_id="r"))
        self.conclusions.stage_ended(run, attempt, result)
        return self.run

    def succeed(self, stage: Stage, **result: Any) -> Run:
        run, attempt = self.begin(stage)
        self.conclusions.stage_ended(run, attempt, StageResult(result, pointer="p"))
        return self.run


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.database.close()


def test_a_retry_is_due_after_the_decisions_delay(room: Room) -> None:
    run = room.fail(FailureCode.LOST)
    assert run.state is RunState.WAITING
    assert run.not_before == NOW + timedelta(seconds=2)
    run = room.fail(FailureCode.LOST)
    assert run.not_before == NOW + timedelta(seconds=4)


@pytest.mark.parametrize(
    ("code", "state", "status"),
    [
        (FailureCode.INSUFFICIENT_ACTIVITY, RunState.SKIPPED, RunStatus.UNSORTABLE),
        (FailureCode.INPUT_MISSING, RunState.SKIPPED, RunStatus.INPUT_ERROR),
        (FailureCode.INVALID_CONFIGURATION, RunState.FAILED, RunStatus.FAILED),
    ],
)
def test_an_end_is_written_down_and_taken_after_the_report(
    room: Room, code: FailureCode, state: RunState, status: RunStatus
) -> None:
    run = room.fail(code)
    assert (run.state, run.stage, run.status) == (RunState.QUEUED, Stage.REPORT, None)
    run = room.succeed(Stage.REPORT, report_prefix="p")
    assert (run.state, run.status) == (state, status)
    assert run.failure is not None
    assert run.failure.code is code


def test_a_sort_that_times_out_twice_is_given_up(room: Room) -> None:
    assert room.fail(FailureCode.SORTER_TIMEOUT).state is RunState.WAITING
    room.fail(FailureCode.DEADLINE)
    run = room.succeed(Stage.REPORT)
    assert (run.state, run.status) == (RunState.SKIPPED, RunStatus.SORTER_TIMEOUT)


def test_a_store_that_stays_away_holds_the_lane_once_its_budget_is_spent(room: Room) -> None:
    for _ in range(5):
        assert room.fail(FailureCode.STORAGE_UNAVAILABLE).state is RunState.WAITING
    run = room.fail(FailureCode.STORAGE_UNAVAILABLE)
    assert (run.state, run.status) == (RunState.HELD, RunStatus.ENVIRONMENT)
    (hold,) = room.runs.holds()
    assert hold.reason.startswith("It broke. Check the store")


def test_a_released_lane_has_its_retries_back(room: Room) -> None:
    wishes = Wishes(room.runs, RecordingStore(room.database))
    for _ in range(6):
        room.fail(FailureCode.STORAGE_UNAVAILABLE)
    assert wishes.release("kilosort4") == 1
    for _ in range(5):
        assert room.fail(FailureCode.STORAGE_UNAVAILABLE).state is RunState.WAITING
    assert room.fail(FailureCode.STORAGE_UNAVAILABLE).state is RunState.HELD


def test_a_released_lane_does_not_give_back_what_no_operator_can_mend(room: Room) -> None:
    wishes = Wishes(room.runs, RecordingStore(room.database))
    room.fail(FailureCode.SORTER_CRASH)
    room.fail(FailureCode.HDF5_PLUGIN_MISSING)
    assert wishes.release("hdf5-plugin") == 1
    assert room.fail(FailureCode.SORTER_CRASH).stage is Stage.REPORT


def test_attempts_written_off_by_a_person_spend_nothing(room: Room) -> None:
    room.fail(FailureCode.SORTER_CRASH)
    run = room.runs.move_run(
        room.run,
        RunState.QUEUED,
        kind="run.retried",
        changes=RunChanges(result={"attempts_before": {"sort": 1}}),
    )
    assert (spent_before(run, Stage.SORT), spent_before(run, Stage.REPORT)) == (1, 0)
    assert room.fail(FailureCode.SORTER_CRASH).state is RunState.WAITING
    assert room.fail(FailureCode.SORTER_CRASH).stage is Stage.REPORT


def test_failures_of_another_stage_spend_nothing(room: Room) -> None:
    room.fail(FailureCode.UNCLASSIFIED, Stage.PREFLIGHT)
    assert room.fail(FailureCode.UNCLASSIFIED, Stage.SORT).state is RunState.WAITING


def test_success_clears_what_an_earlier_failure_said(room: Room) -> None:
    room.fail(FailureCode.HDF5_PLUGIN_MISSING, Stage.PREFLIGHT)
    assert room.run.status is RunStatus.ENVIRONMENT
    room.runs.release_hold("hdf5-plugin")
    run = room.succeed(Stage.PREFLIGHT)
    assert (run.status, run.failure, run.stage) == (None, None, Stage.SORT)


def test_a_reused_sort_is_pointed_at_by_the_run_that_reuses_it(room: Room) -> None:
    changes = RunChanges(result={"sort_prefix": "runs/other/attempts/sort-1"})
    room.runs.move_run(room.run, RunState.QUEUED, kind="sort.reused", changes=changes)
    room.succeed(Stage.CURATE, curation_prefix="mine")
    stored = room.artifacts.get_bytes(f"runs/{RUN_ID}/current.json").decode()
    assert '"sort": "runs/other/attempts/sort-1"' in stored
    assert '"curate": "mine"' in stored


def test_the_next_attempt_waits_for_the_lease_of_one_nobody_saw_end(room: Room) -> None:
    run, attempt = room.begin(Stage.SORT)
    room.runs.take_lease(attempt.attempt_id, "host/1/a")
    lost = Failure(FailureCode.LOST, "Gone.", rule_id="r")
    room.conclusions.sort_ended(run, attempt, Verdict(lost, None, "exit"), may_live=True)
    assert room.run.not_before == NOW + timedelta(seconds=LEASE_S + 1)
    body = room.runs.events(RUN_ID)[-1].body
    assert (body["delay_s"], body["lease_wait_s"]) == (LEASE_S + 1, LEASE_S + 1)


def test_the_next_attempt_does_not_wait_for_one_that_was_seen_to_end(room: Room) -> None:
    run, attempt = room.begin(Stage.SORT)
    room.runs.take_lease(attempt.attempt_id, "host/1/a")
    lost = Failure(FailureCode.LOST, "Gone.", rule_id="r")
    room.conclusions.sort_ended(run, attempt, Verdict(lost, None, "exit"))
    assert room.run.not_before == NOW + timedelta(seconds=2)
    assert "lease_wait_s" not in room.runs.events(RUN_ID)[-1].body


def test_a_refused_attempt_is_queued_again_when_the_other_lease_ends(room: Room) -> None:
    run, first = room.begin(Stage.SORT)
    room.runs.take_lease(first.attempt_id, "host/1/a")
    lost = Failure(FailureCode.LOST, "Gone.", rule_id="r")
    room.conclusions.sort_ended(run, first, Verdict(lost, None, "exit"), may_live=True)
    run = room.fail(FailureCode.CONCURRENT_SORT)
    assert run.state is RunState.WAITING
    assert run.not_before == NOW + timedelta(seconds=LEASE_S + 1)
    assert room.runs.events(RUN_ID)[-1].kind == "decision.requeue"


def test_a_controller_left_behind_does_not_turn_the_pointer_back(room: Room) -> None:
    stale, attempt = room.begin(Stage.CURATE)
    key = f"runs/{RUN_ID}/current.json"
    room.artifacts.swap_pointer(key, {"curate": "newer", "token": stale.version + 1})
    room.runs.request_cancel(RUN_ID)
    result = StageResult({"curation_prefix": "older"}, pointer="p")
    with pytest.raises(StaleRunError):
        room.conclusions.stage_ended(stale, attempt, result)
    assert "newer" in room.artifacts.get_bytes(key).decode()


def test_a_pointer_of_records_that_were_lost_gives_way_to_the_result_on_record(room: Room) -> None:
    key = f"runs/{RUN_ID}/current.json"
    room.artifacts.swap_pointer(key, {"curate": "lost", "token": 99})
    room.succeed(Stage.CURATE, curation_prefix="on-record")
    assert "on-record" in room.artifacts.get_bytes(key).decode()


def test_a_run_without_a_word_about_its_end_has_failed(room: Room) -> None:
    run = room.succeed(Stage.REPORT)
    assert (run.state, run.status) == (RunState.FAILED, RunStatus.FAILED)


def test_what_was_projected_is_kept_beside_what_was_used(room: Room) -> None:
    estimate = {"memory_bytes": 2_000, "scratch_bytes": 800, "duration_s": 120.0}
    room.succeed(Stage.PREFLIGHT, preflight={"estimate": estimate})
    run, attempt = room.begin(Stage.SORT)
    peaks = {"usage.memory_bytes": 1_000.0, "usage.scratch_bytes": 1_600.0}
    outcome = AttemptOutcome(attempt.attempt_id, 0, peaks=peaks, wall_s=60.0)
    room.conclusions.sort_ended(run, attempt, Verdict(None, outcome, "outcome"))
    compared = room.run.result["projection"]
    assert {name: entry["ratio"] for name, entry in compared.items()} == {
        "memory_bytes": 2.0,
        "scratch_bytes": 0.5,
        "duration_s": 2.0,
    }
    text = room.conclusions.counts.metrics.render()
    name = "spikefleet_projection_ratio_count"
    assert f'{name}{{backend="kilosort4",resource="memory_bytes"}} 1.0' in text


def test_a_failed_sort_is_compared_too_but_not_its_time(room: Room) -> None:
    room.succeed(Stage.PREFLIGHT, preflight={"estimate": {"memory_bytes": 500, "duration_s": 9.0}})
    run, attempt = room.begin(Stage.SORT)
    failure = Failure(FailureCode.HOST_OUT_OF_MEMORY, "Out of memory.", rule_id="r")
    outcome = AttemptOutcome(
        attempt.attempt_id, 106, failure, peaks={"usage.memory_bytes": 1_000.0}, wall_s=60.0
    )
    room.conclusions.sort_ended(run, attempt, Verdict(failure, outcome, "outcome"))
    assert set(room.run.result["projection"]) == {"memory_bytes"}
    assert room.run.failure == failure


@pytest.mark.parametrize("failed", [False, True])
def test_the_event_of_a_sort_says_how_its_trial_went(room: Room, failed: bool) -> None:
    run, attempt = room.begin(Stage.PREFLIGHT)
    room.conclusions.stage_ended(run, attempt, StageResult())
    run, attempt = room.begin(Stage.SORT)
    broken = Failure(FailureCode.MODEL_LOADING, "No kilosort.", stage="canary") if failed else None
    state = "blocked" if failed else "passed"
    outcome = AttemptOutcome(
        attempt.attempt_id, 93 if failed else 0, broken, canary={"state": state}
    )
    room.conclusions.sort_ended(run, attempt, Verdict(broken, outcome, "outcome"))
    event = room.runs.events(RUN_ID, 0)[-1]
    assert event.body["canary"] == {"state": state}
    if failed:
        assert room.run.state is RunState.HELD
        assert event.body["code"] == "model_loading"


def in_a_cluster(room: Room, memory_bytes: int) -> None:
    sizes = SizeRange(memory_bytes, memory_bytes, 10, 10)
    room.conclusions = replace(room.conclusions, machine_of=lambda _: SorterMachine(sizes))


def test_after_a_fault_on_a_node_of_a_cluster_the_next_attempt_avoids_it(room: Room) -> None:
    run, attempt = room.begin(Stage.SORT)
    fault = Failure(FailureCode.GPU_FAULT, "Xid 79.", rule_id="r")
    room.conclusions.sort_ended(run, attempt, Verdict(fault, None, "outcome", node="node-a"))
    assert room.run.result["params"]["exclude_nodes"] == ["node-a"]
    assert room.runs.events(RUN_ID)[-1].body["node"] == "node-a"


def test_a_run_that_had_the_most_is_held_with_words_and_asks_for_more_after_its_release(
    room: Room,
) -> None:
    in_a_cluster(room, memory_bytes=4 << 30)
    run, attempt = room.begin(Stage.SORT)
    run = replace(run, config={"execution": {"n_jobs": 1}})
    short = Failure(FailureCode.HOST_OUT_OF_MEMORY, "Too little.", rule_id="r")
    room.conclusions.sort_ended(run, attempt, Verdict(short, None, "oom_killed"))
    assert (room.run.state, room.run.lane) == (RunState.HELD, "kilosort4/needs-more")
    (hold,) = room.runs.holds()
    assert "largest memory" in hold.reason
    assert "4 GiB" in hold.reason
    assert room.run.result["params"]["memory_limit_bytes"] == 6 << 30
