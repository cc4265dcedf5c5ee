"""Every input of a notebook has its answer, whatever was put into the list."""

from pathlib import Path

import numpy as np
import pytest
from spikeinterface.core import NumpyRecording, load

from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.failures.errors import CLASS_BY_CODE, AttemptInterrupted
from spikefleet.deploy.notebook import RecordingResult, sort_recording
from spikefleet.deploy.notebook_inputs import RefusedInput, list_inputs


def recording():
    found = NumpyRecording([np.arange(2000, dtype="int16").reshape(500, 4)], 20_000.0)
    found.set_dummy_probe_from_locations(np.arange(8.0).reshape(4, 2) * 20)
    return found


def test_paths_stay_as_they_are(tmp_path):
    assert list_inputs("a.raw.h5", tmp_path) == [Path("a.raw.h5")]
    assert list_inputs(Path("b"), tmp_path) == [Path("b")]
    assert list_inputs(("a", Path("b")), tmp_path) == [Path("a"), Path("b")]


def test_a_recording_object_is_saved_and_stands_for_its_folder(tmp_path):
    given = recording()
    (place,) = list_inputs(given, tmp_path)
    saved = load(place)
    assert np.array_equal(saved.get_traces(), given.get_traces())
    assert np.array_equal(saved.get_channel_locations(), given.get_channel_locations())
    first, second = list_inputs([given, "a"], tmp_path)
    assert (first, second) == (place, Path("a"))


@pytest.mark.parametrize("wrong", [None, 3, 2.5, {"a": 1}, "", "  ", object()])
def test_what_is_no_recording_is_refused_by_its_place_in_the_list(tmp_path, wrong):
    path, refused = list_inputs(["a.raw.h5", wrong], tmp_path)
    assert path == Path("a.raw.h5")
    assert isinstance(refused, RefusedInput)
    assert "Input 2" in refused.message
    assert refused.next_step


def test_a_recording_that_cannot_be_saved_is_refused_and_leaves_nothing(tmp_path):
    class Broken(NumpyRecording):
        def save(self, **kwargs):
            raise OSError("No space left on device")

    given = Broken([np.zeros((500, 4), dtype="int16")], 20_000.0)
    (refused,) = list_inputs([given], tmp_path)
    assert "No space left" in refused.message
    assert list(tmp_path.iterdir()) == []


def test_a_list_without_any_recording_starts_no_service(tmp_path):
    results = sort_recording([None, 7], results_folder=tmp_path / "sorted")
    assert [result.status for result in results] == ["input_error", "input_error"]
    assert all(result.error_message and result.next_step for result in results)
    assert not (tmp_path / "sorted" / ".service").exists()


def test_a_result_raises_the_class_of_its_failure_with_its_evidence():
    for cls in CLASS_BY_CODE.values():
        result = RecordingResult(
            "a",
            "/a",
            "",
            RunStatus.FAILED,
            None,
            1.0,
            error_class=cls.__name__,
            error_message="It broke.",
            evidence={"reason": "x"},
        )
        with pytest.raises(cls, match=r"It broke\.") as caught:
            result.raise_if_failed()
        assert caught.value.reason == "x", cls


def test_a_success_raises_nothing_and_a_cancelled_run_says_so():
    RecordingResult("a", "/a", "", RunStatus.SUCCESS, None, 1.0).raise_if_failed()
    with pytest.raises(AttemptInterrupted, match="cancelled"):
        RecordingResult("a", "/a", "", RunStatus.CANCELLED, None, 1.0).raise_if_failed()
