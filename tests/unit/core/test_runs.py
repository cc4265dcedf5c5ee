"""The one word for where a run stands, and what its failure means for it."""

import pytest
from tests.support.runs import make_run

from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FailureCode, RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.runs import RunState


@pytest.mark.parametrize(
    ("state", "status", "word"),
    [
        (RunState.QUEUED, None, "queued"),
        (RunState.HELD, RunStatus.ENVIRONMENT, "held"),
        (RunState.SUCCEEDED, RunStatus.SUCCESS, "success"),
        (RunState.SUCCEEDED, None, "success"),
        (RunState.SKIPPED, RunStatus.UNSORTABLE, "unsortable"),
        (RunState.SKIPPED, RunStatus.INPUT_ERROR, "input_error"),
        (RunState.SKIPPED, RunStatus.SORTER_TIMEOUT, "failed"),
        (RunState.FAILED, RunStatus.OOM_GPU, "failed"),
        (RunState.CANCELLED, RunStatus.CANCELLED, "cancelled"),
    ],
)
def test_where_a_run_stands_is_one_word(
    state: RunState, status: RunStatus | None, word: str
) -> None:
    assert make_run(state=state, status=status).outcome == word


@pytest.mark.parametrize(
    ("state", "stage", "status", "ended"),
    [
        (RunState.WAITING, Stage.SORT, None, False),
        (RunState.RUNNING, Stage.SORT, None, False),
        (RunState.HELD, Stage.SORT, None, False),  # for what another run has found
        (RunState.HELD, Stage.SORT, RunStatus.ENVIRONMENT, True),
        (RunState.RUNNING, Stage.REPORT, None, True),
        (RunState.FAILED, Stage.REPORT, RunStatus.FAILED, True),
    ],
)
def test_a_failure_that_is_tried_again_ends_no_run(
    state: RunState, stage: Stage, status: RunStatus | None, ended: bool
) -> None:
    failure = Failure(FailureCode.LOST, "Gone.", rule_id="r")
    run = make_run(state=state, stage=stage, status=status, failure=failure)
    assert run.is_ended_by_failure is ended
    assert not make_run(state=state, stage=stage, status=status).is_ended_by_failure
