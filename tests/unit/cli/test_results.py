"""report: why there is none, told by where the run stands."""

import pytest
from tests.support.runs import make_view

from spikefleet.cli.results import _no_report
from spikefleet.core.runs import RunState
from spikefleet.infra.rpc.errors import ServiceError

MISSING = ServiceError("REPORT_NOT_FOUND", "No report.", request_id="abc")


@pytest.mark.parametrize(
    ("state", "said", "then"),
    [
        (RunState.CANCELLED, "was cancelled before its report", "spikefleet retry run-"),
        (RunState.FAILED, "ended as failed", "--stage report"),
        (RunState.RUNNING, "is running; its report is made when it ends", "spikefleet watch run-"),
        (RunState.HELD, "is held", "spikefleet watch run-"),
    ],
)
def test_a_missing_report_is_explained_by_the_runs_state(
    state: RunState, said: str, then: str
) -> None:
    error = _no_report(make_view(state=state), MISSING)
    assert said in error.message
    assert then in error.next_step
    assert (error.reason, error.request_id) == ("REPORT_NOT_FOUND", "abc")
