"""A sorted run asked for once more: its result stays until a better one is complete."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.controlled import Controlled, answering, check_history, willing

from spikefleet.controller.stage_threads import StageResult
from spikefleet.controller.wishes import FinishedRunError, UnreachedStageError
from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FailureCode, RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.rooms.wishes import RetryWish
from spikefleet.core.runs import Attempt, Run, RunState

Make = Callable[..., Controlled]
BROKEN = StageResult(failure=Failure(FailureCode.UNCLASSIFIED, "It broke."))


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Controlled] = []

    def start(plan: str = "succeed", **more: object) -> Controlled:
        made.append(Controlled(tmp_path, plan, **more))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for controlled in made:
        controlled.close()


@pytest.mark.parametrize("stage", [None, Stage.PREFLIGHT, Stage.SORT])
def test_a_complete_result_is_sorted_again_only_by_force(make: Make, stage: Stage | None) -> None:
    controlled = make()
    run = controlled.finish(controlled.submit())
    with pytest.raises(FinishedRunError, match="complete result"):
        controlled.wishes.retry(RetryWish(run.run_id, stage))
    assert controlled.runs.get_run(run.run_id) == run


def test_a_retry_that_is_cancelled_leaves_the_finished_result(make: Make) -> None:
    controlled = make("succeed,wait")
    run = controlled.finish(controlled.submit())
    pointer = controlled.current(run.run_id)
    controlled.wishes.retry(RetryWish(run.run_id, Stage.SORT, force=True))
    controlled.await_sort(run.run_id)
    assert controlled.current(run.run_id) == pointer
    controlled.wishes.cancel(run.run_id, "not needed")
    again = controlled.finish(run.run_id)
    assert (again.state, again.status, again.stage) == (run.state, run.status, run.stage)
    assert {key: again.result[key] for key in run.result if key in again.result} == {
        key: value for key, value in run.result.items() if key != "fresh_sort"
    }
    assert again.result["last_retry"] == {"ended": "cancelled", "reason": ""}
    assert controlled.current(run.run_id) == pointer
    check_history(controlled, run.run_id)


def test_a_retry_that_waits_is_cancelled_to_the_finished_result(make: Make) -> None:
    controlled = make("succeed,wait")
    run = controlled.finish(controlled.submit())
    controlled.wishes.retry(RetryWish(run.run_id, Stage.PREFLIGHT, force=True))
    controlled.wishes.cancel(run.run_id, "")
    again = controlled.finish(run.run_id)
    assert (again.state, again.result["sort_prefix"]) == (run.state, run.result["sort_prefix"])


def test_a_retry_that_fails_leaves_the_finished_result_and_says_why(make: Make) -> None:
    controlled = make("succeed,fail:invalid_configuration,succeed")
    run = controlled.finish(controlled.submit())
    pointer = controlled.current(run.run_id)
    controlled.wishes.retry(RetryWish(run.run_id, Stage.SORT, force=True))
    again = controlled.finish(run.run_id)
    assert (again.state, again.status, again.failure) == (run.state, run.status, None)
    assert again.result["last_retry"]["ended"] == "failed"
    assert again.result["last_retry"]["reason"]
    assert controlled.current(run.run_id) == pointer
    controlled.wishes.retry(RetryWish(run.run_id, Stage.SORT, force=True))
    third = controlled.finish(run.run_id)
    assert third.result["sort_prefix"].endswith("sort-3")
    assert not {"last_retry", "kept_result"} & set(third.result)
    assert controlled.current(run.run_id)["sort"].endswith("sort-3")


def test_a_curation_with_another_threshold_never_opens_the_recording(make: Make) -> None:
    def gone(run: Run, attempt: Attempt) -> StageResult:
        is_second = run.run_id != first.run_id and attempt.stage is Stage.PREFLIGHT
        return BROKEN if is_second else willing(run, attempt)

    controlled = make()
    first = controlled.finish(controlled.submit())
    controlled.call = gone
    controlled.rebuild()
    wish = RetryWish(first.run_id, Stage.CURATE, {"snr_min": 9.0})
    run = controlled.finish(controlled.wishes.retry(wish).run_id)
    assert run.state is RunState.SUCCEEDED
    assert run.result["preflight"] == first.result["preflight"]
    assert controlled.attempts(run.run_id) == ["curate-1 succeeded", "report-1 succeeded"]
    assert len(controlled.starts()) == 1
    check_history(controlled, run.run_id)


def test_parameters_of_the_sort_are_no_matter_of_curation(make: Make) -> None:
    controlled = make()
    first = controlled.finish(controlled.submit())
    with pytest.raises(UnreachedStageError, match="these parameters"):
        controlled.wishes.retry(RetryWish(first.run_id, Stage.CURATE, {"freq_min": 400.0}))
    assert len(controlled.runs.list_runs()[0]) == 1


def test_a_retry_that_finds_a_cancelled_run_starts_it_again(make: Make) -> None:
    controlled = make()
    first = controlled.finish(controlled.submit())
    wish = RetryWish(first.run_id, None, {"snr_min": 9.0})
    other = controlled.wishes.retry(wish)
    controlled.wishes.cancel(other.run_id, "")
    assert controlled.finish(other.run_id).state is RunState.CANCELLED
    again = controlled.wishes.retry(wish)
    assert again.run_id == other.run_id
    assert controlled.finish(again.run_id).state is RunState.SUCCEEDED


@pytest.mark.parametrize("ended", ["cancelled", "failed"])
def test_a_report_that_is_not_made_again_leaves_the_one_there_was(make: Make, ended: str) -> None:
    again = {(Stage.REPORT, 2): BROKEN, (Stage.REPORT, 3): BROKEN}
    controlled = make(call=answering(again if ended == "failed" else {}))
    run = controlled.finish(controlled.submit())
    controlled.wishes.retry(RetryWish(run.run_id, Stage.REPORT))
    if ended == "cancelled":
        controlled.wishes.cancel(run.run_id, "")
    still = controlled.finish(run.run_id)
    assert (still.state, still.status) == (RunState.SUCCEEDED, RunStatus.SUCCESS)
    assert still.result["report_prefix"] == run.result["report_prefix"]
    assert controlled.current(run.run_id)["report"] == run.result["report_prefix"]
