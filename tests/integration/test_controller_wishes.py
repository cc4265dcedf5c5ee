"""What a person may ask of runs at any moment: cancel, try again, sort the same once more."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.attempts import wait_for
from tests.support.controlled import Controlled, answering, check_history, willing

from spikefleet.controller.stage_threads import StageResult
from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FailureCode, RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.rooms.wishes import RetryWish
from spikefleet.core.runs import Attempt, IllegalMoveError, Run, RunState

Make = Callable[..., Controlled]
BROKEN = StageResult(failure=Failure(FailureCode.UNCLASSIFIED, "It broke."))
PLUGIN_MISSING = StageResult(failure=Failure(FailureCode.HDF5_PLUGIN_MISSING, "No plugin."))


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Controlled] = []

    def start(plan: str = "succeed", **more: object) -> Controlled:
        made.append(Controlled(tmp_path, plan, **more))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for controlled in made:
        controlled.close()


def cancelled(controlled: Controlled, run_id: str) -> Run:
    """Cancel, drive to the end, and check what every cancelled run must look like."""
    controlled.wishes.cancel(run_id, "enough")
    controlled.drive(lambda: controlled.runs.get_run(run_id).is_terminal)
    run = controlled.runs.get_run(run_id)
    assert (run.state, run.status) == (RunState.CANCELLED, RunStatus.CANCELLED)
    assert controlled.runs.live_attempts() == []
    assert controlled.launcher.observe() == {}
    check_history(controlled, run_id)
    return run


def test_a_queued_run_is_cancelled(make: Make) -> None:
    controlled = make()
    run = cancelled(controlled, controlled.submit())
    assert controlled.attempts(run.run_id) == []


def test_a_run_that_waits_for_its_retry_is_cancelled(make: Make) -> None:
    controlled = make("die")
    run_id = controlled.submit()
    controlled.drive(lambda: controlled.runs.get_run(run_id).state is RunState.WAITING)
    cancelled(controlled, run_id)
    assert len(controlled.starts()) == 1


@pytest.mark.parametrize("restarted", [False, True])
def test_a_running_sort_is_told_to_stop_and_cancelled(make: Make, restarted: bool) -> None:
    controlled = make("wait")
    run_id = controlled.submit()
    controlled.await_sort(run_id)
    if restarted:
        controlled.wishes.cancel(run_id, "enough")
        controlled.step()
        controlled.rebuild()
    cancelled(controlled, run_id)
    sort = controlled.runs.attempts_of(run_id)[-1]
    assert (sort.stage, sort.state) == (Stage.SORT, "cancelled")
    assert sort.outcome["failure"]["code"] == "attempt_interrupted"


def test_a_sort_that_does_not_listen_is_killed_after_its_grace(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikefleet.controller.orphans.STOP_GRACE_S", 0.3)
    controlled = make("cling")
    run_id = controlled.submit()
    controlled.await_sort(run_id)
    cancelled(controlled, run_id)
    assert controlled.runs.attempts_of(run_id)[-1].state == "cancelled"


def test_a_run_in_another_room_is_cancelled_once_the_room_has_answered(make: Make) -> None:
    entered, release = threading.Event(), threading.Event()

    def slow(run: Run, attempt: Attempt) -> StageResult:
        if attempt.stage is Stage.CURATE:
            entered.set()
            release.wait(20)
        return willing(run, attempt)

    controlled = make(call=slow)
    run_id = controlled.submit()
    controlled.drive(entered.is_set)
    controlled.wishes.cancel(run_id, "enough")
    for _ in range(3):
        controlled.step()
    assert controlled.runs.get_run(run_id).state is RunState.RUNNING
    release.set()
    cancelled(controlled, run_id)


def test_a_held_run_is_cancelled_and_its_lane_stays_held(make: Make) -> None:
    controlled = make(call=answering({(Stage.PREFLIGHT, 1): PLUGIN_MISSING}))
    run = controlled.finish(controlled.submit())
    assert run.state is RunState.HELD
    cancelled(controlled, run.run_id)
    assert [hold.held_run_count for hold in controlled.runs.holds()] == [0]


def test_a_cancelled_run_goes_on_where_it_was_left(make: Make) -> None:
    controlled = make("wait,succeed")
    run_id = controlled.submit()
    controlled.await_sort(run_id)
    cancelled(controlled, run_id)
    controlled.wishes.retry(RetryWish(run_id))
    run = controlled.finish(run_id)
    assert run.state is RunState.SUCCEEDED
    assert controlled.attempts(run_id)[:3] == [
        "preflight-1 succeeded",
        "sort-1 cancelled",
        "sort-2 succeeded",
    ]


def test_a_failed_sort_asked_for_again_has_its_budgets_back(make: Make) -> None:
    controlled = make("fail:sorter_crash,fail:sorter_crash,fail:sorter_crash,succeed")
    run = controlled.finish(controlled.submit())
    assert run.state is RunState.FAILED
    controlled.wishes.retry(RetryWish(run.run_id))
    again = controlled.finish(run.run_id)
    assert again.state is RunState.SUCCEEDED
    assert [start["name"][-6:] for start in controlled.starts()][2:] == ["sort-3", "sort-4"]
    assert controlled.attempts(run.run_id).count("preflight-1 succeeded") == 1


@pytest.mark.parametrize("stage", list(Stage))
def test_a_sorted_run_can_be_redone_from_every_stage(make: Make, stage: Stage) -> None:
    controlled = make()
    run = controlled.finish(controlled.submit())
    controlled.wishes.retry(RetryWish(run.run_id, stage, force=True))
    again = controlled.finish(run.run_id)
    assert (again.state, again.status) == (RunState.SUCCEEDED, RunStatus.SUCCESS)
    redone = [s for s in Stage if list(Stage).index(s) >= list(Stage).index(stage)]
    seconds = [a.stage for a in controlled.runs.attempts_of(run.run_id) if a.number == 2]
    assert seconds == redone
    numbers = {s: 2 if s in redone else 1 for s in Stage}
    assert controlled.current(run.run_id) == {
        str(s): f"runs/{run.run_id}/attempts/{s}-{numbers[s]}"
        for s in (Stage.SORT, Stage.CURATE, Stage.REPORT)
    }
    check_history(controlled, run.run_id)


def test_a_report_redone_has_its_own_tries_and_keeps_the_runs_end(make: Make) -> None:
    controlled = make("fail:invalid_configuration", call=answering({(Stage.REPORT, 2): BROKEN}))
    run = controlled.finish(controlled.submit())
    controlled.wishes.retry(RetryWish(run.run_id, Stage.REPORT))
    again = controlled.finish(run.run_id)
    assert (again.state, again.failure) == (RunState.FAILED, run.failure)
    assert controlled.attempts(run.run_id)[-2:] == ["report-2 failed", "report-3 succeeded"]


def test_a_curation_redone_after_a_fresh_sort_uses_that_sort(make: Make) -> None:
    controlled = make()
    run = controlled.finish(controlled.submit())
    controlled.wishes.retry(RetryWish(run.run_id, Stage.SORT, force=True))
    controlled.finish(run.run_id)
    controlled.wishes.retry(RetryWish(run.run_id, Stage.CURATE))
    again = controlled.finish(run.run_id)
    assert again.result["sort_prefix"].endswith("sort-2")
    assert not again.result.get("fresh_sort")
    assert len(controlled.starts()) == 2


def test_a_curation_without_a_sort_is_refused(make: Make) -> None:
    controlled = make("fail:invalid_configuration")
    run = controlled.finish(controlled.submit())
    with pytest.raises(IllegalMoveError, match="no finished sort"):
        controlled.wishes.retry(RetryWish(run.run_id, Stage.CURATE))
    assert controlled.runs.get_run(run.run_id) == run


def test_another_threshold_takes_over_the_finished_sort(make: Make) -> None:
    controlled = make()
    first = controlled.finish(controlled.submit())
    second = controlled.wishes.retry(RetryWish(first.run_id, None, {"snr_min": 9.0}))
    assert second.run_id != first.run_id
    run = controlled.finish(second.run_id)
    assert run.state is RunState.SUCCEEDED
    assert run.result["sort_reused_from"] == first.run_id
    assert controlled.current(run.run_id)["sort"] == first.result["sort_prefix"]
    assert len(controlled.starts()) == 1


def test_a_sort_with_one_flipped_byte_is_not_taken_over_and_the_history_names_the_file(
    make: Make,
) -> None:
    controlled = make()
    first = controlled.finish(controlled.submit())
    prefix = first.result["sort_prefix"]
    key = next(
        key
        for key in controlled.artifacts.list_keys(prefix)
        if not key.endswith(("manifest.json", "holder.json")) and controlled.artifacts.size(key)
    )
    path = controlled.artifacts.local_path(key)
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    run = controlled.finish(controlled.submit(snr_min=9.0))
    assert run.state is RunState.SUCCEEDED
    assert "sort_reused_from" not in run.result
    assert len(controlled.starts()) == 2
    (event,) = [e for e in controlled.runs.events(run.run_id) if e.kind == "sort.damaged"]
    assert key in event.body["problem"]
    third = controlled.finish(controlled.submit(snr_min=8.0))
    assert third.result["sort_reused_from"] == run.run_id


def test_two_runs_of_one_sort_sort_once(make: Make) -> None:
    controlled = make("slow")
    first, second = controlled.submit(), controlled.submit(snr_min=9.0)
    controlled.drive(lambda: controlled.starts())
    controlled.drive(lambda: controlled.runs.get_run(second).stage is Stage.SORT)
    controlled.drive(lambda: not controlled.step())  # waiting is no movement: the loop may sleep
    controlled.finish(first, second)
    assert len(controlled.starts()) == 1
    assert controlled.runs.get_run(second).state is RunState.SUCCEEDED


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_when_the_first_of_two_fails_the_second_sorts_itself(
    make: Make, is_cancelled: bool
) -> None:
    controlled = make("wait" if is_cancelled else "fail:invalid_configuration")
    first, second = controlled.submit(), controlled.submit(snr_min=9.0)
    if is_cancelled:
        controlled.await_sort(first)
        controlled.wishes.cancel(first, "")
    controlled.drive(controlled.starts)
    controlled.plan = "succeed"
    assert controlled.finish(second).state is RunState.SUCCEEDED
    assert [start["name"] for start in controlled.starts()] == [
        f"s-{run_id.removeprefix('run-')}-sort-1" for run_id in (first, second)
    ]


def test_a_sort_whose_files_are_gone_is_not_taken_over(make: Make) -> None:
    controlled = make()
    first = controlled.finish(controlled.submit())
    stored = controlled.artifacts.local_path(first.result["sort_prefix"])
    (stored / "sorting" / "units.json").unlink()
    run = controlled.finish(controlled.submit(snr_min=9.0))
    assert run.state is RunState.SUCCEEDED
    assert run.result["sort_prefix"] == f"runs/{run.run_id}/attempts/sort-1"


def test_a_sort_with_changed_parameters_is_not_taken_over(make: Make) -> None:
    controlled = make("fail:gpu_out_of_memory,succeed")
    first = controlled.finish(controlled.submit())
    assert first.result["result_affecting"] is True
    controlled.plan = "succeed"
    second = controlled.finish(controlled.submit(snr_min=9.0))
    third = controlled.finish(controlled.submit(snr_min=8.0))
    assert "sort_reused_from" not in second.result
    assert third.result["sort_reused_from"] == second.run_id


def test_an_attempt_of_another_memory_is_left_running_for_a_day(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    controlled = make("wait")
    run_id = controlled.submit()
    controlled.await_sort(run_id)
    controlled.database.close()
    for path in tmp_path.glob("spikefleet.db*"):
        path.unlink()
    controlled.rebuild()
    for _ in range(3):
        controlled.step()
    assert controlled.launcher.free_slots().cpu == 1
    assert [r.message for r in caplog.records].count("attempt.unknown") == 1
    controlled.clock.skip(25 * 3600)
    controlled.drive(lambda: controlled.launcher.observe() == {})


def test_an_attempt_whose_end_is_on_record_is_stopped(make: Make) -> None:
    controlled = make("wait")
    run_id = controlled.submit()
    controlled.await_sort(run_id)
    run, (attempt,) = controlled.runs.get_run(run_id), controlled.runs.live_attempts()
    controlled.reconciler._parts.conclusions.cancelled(run, attempt)
    assert controlled.launcher.observe() != {}
    controlled.drive(lambda: controlled.launcher.observe() == {})
    assert controlled.runs.live_attempts() == []


def test_progress_is_read_from_the_heartbeat_when_no_report_arrives(make: Make) -> None:
    controlled = make("wait")
    run_id = controlled.submit()
    controlled.await_sort(run_id)
    controlled.step()
    progress = controlled.runs.get_run(run_id).progress
    assert (progress["step"], progress["fraction"], progress["spike_count"]) == ("detect", 0.5, 40)
    wait_for(lambda: controlled.step() is False)
    assert controlled.runs.get_run(run_id).progress == progress
