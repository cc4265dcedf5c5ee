"""What the curation room is asked and answers survives the way to a message and back."""

import pytest

from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.rooms.curation import CurationAnswer, CurationTask
from spikefleet.core.runs import AttemptPlace
from spikefleet.infra.rpc.convert.curation import from_curate, from_curation, to_curate, to_curation
from spikefleet.infra.rpc.errors import RpcProblem

TASK = CurationTask(
    AttemptPlace("run-0", Stage.SORT, 2),
    AttemptPlace("run-1", Stage.CURATE, 1),
    {"curation": {"snr_min": 6}},
)


def test_what_is_to_be_curated_survives():
    assert from_curate(to_curate(TASK)) == TASK


def test_a_request_without_a_sort_is_refused():
    request = to_curate(TASK)
    request.ClearField("sort")
    with pytest.raises(RpcProblem, match="sort is not named"):
        from_curate(request)


@pytest.mark.parametrize(
    "answer",
    [
        CurationAnswer(5, 3, "runs/run-1/attempts/curate-1"),
        CurationAnswer(failure=Failure(FailureCode.INCOMPLETE, "Not all there.")),
    ],
)
def test_a_curation_survives(answer):
    assert from_curation(to_curation(answer)) == answer
