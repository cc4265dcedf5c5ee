"""The one word for where a run stands."""

import pytest
from tests.support.runs import make_run

from spikefleet.core.failures.codes import RunStatus
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
