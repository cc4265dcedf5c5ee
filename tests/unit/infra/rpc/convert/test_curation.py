"""What the curation room is asked and answers survives the way to a message and back."""

import pytest

from spikefleet.core.attempts import Stage
from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure, InvalidConfigurationError
from spikefleet.core.rooms.curation import CurationAnswer, CurationTask
from spikefleet.core.runs import AttemptPlace
from spikefleet.infra.rpc.convert.curation import from_curate, from_curation, to_curate, to_curation
from spikefleet.infra.rpc.errors import RpcProblem

TASK = CurationTask(
    AttemptPlace("run-0", Stage.SORT, 2),
    AttemptPlace("run-1", Stage.CURATE, 1),
    CurationConfig(snr_min=6.0, isi_violation_method="hill"),
    WaveformConfig(ms_before=1.5),
)


def test_what_is_to_be_curated_survives():
    assert from_curate(to_curate(TASK)) == TASK


def test_a_request_without_a_sort_is_refused():
    request = to_curate(TASK)
    request.ClearField("sort")
    with pytest.raises(RpcProblem, match="sort is not named"):
        from_curate(request)


def test_an_earlier_controller_sends_every_group():
    request = to_curate(TASK)
    request.config.update({"execution": {"n_jobs": 4}, "recording": {"freq_min": 200}})
    assert from_curate(request) == TASK


def test_a_bad_threshold_is_refused_by_its_name():
    request = to_curate(TASK)
    request.config.update({"curation": {"isi_violation_method": "guess"}})
    with pytest.raises(InvalidConfigurationError) as caught:
        from_curate(request)
    assert caught.value.field == "curation.isi_violation_method"


@pytest.mark.parametrize(
    "answer",
    [
        CurationAnswer(5, 3, "runs/run-1/attempts/curate-1"),
        CurationAnswer(failure=Failure(FailureCode.INCOMPLETE, "Not all there.")),
    ],
)
def test_a_curation_survives(answer):
    assert from_curation(to_curation(answer)) == answer
