"""The functions a notebook calls: an exception and a folder in, a classified error or None out."""

import pytest

from spikefleet.core.failures.by_sorter import (
    classify_ks2_failure,
    classify_ks4_failure,
    classify_rt_sort_failure,
    classify_sorter_failure,
)
from spikefleet.core.failures.errors import (
    GPUOutOfMemoryError,
    InsufficientActivityError,
    NoGoodChannelsError,
    SaturatedSignalError,
)

SVD = (
    "Found array with 0 sample(s) (shape=(0, 61)) while a minimum of 1 is required by TruncatedSVD."
)


def raised(error, cause=None):
    try:
        raise error from cause
    except type(error) as caught:
        return caught


def test_kilosort_4_in_silence(tmp_path):
    error = classify_ks4_failure(tmp_path, raised(ValueError(SVD)))
    assert isinstance(error, InsufficientActivityError)
    assert error.sorter == "kilosort4"


def test_kilosort_4_with_measurements(tmp_path):
    measured = {"n_channels": 4, "rail_fraction": 1.0, "saturated_channels": ["0"] * 4}
    error = classify_ks4_failure(tmp_path, raised(ValueError(SVD)), measured)
    assert isinstance(error, SaturatedSignalError)
    assert (error.channels_saturated, error.total_channels) == (4, 4)


@pytest.mark.parametrize("place", ["kilosort2.log", "sorter_output/kilosort2.log"])
def test_kilosort_2_is_explained_by_its_log_wherever_it_lies(place, tmp_path):
    log = tmp_path / place
    log.parent.mkdir(exist_ok=True)
    log.write_text("found 32 bad channels\n--------Undefined function or variable 'W'.\n")
    error = classify_ks2_failure(tmp_path, raised(RuntimeError("MATLAB")), {"n_channels": 32})
    assert isinstance(error, NoGoodChannelsError)
    assert error.log_path == str(log)


def test_rt_sort_without_sequences(tmp_path):
    (tmp_path / "rt_sort.log").write_text("Detected 0 preliminary propagation sequences\n")
    error = classify_rt_sort_failure(tmp_path, raised(IndexError("list index out of range")))
    assert isinstance(error, InsufficientActivityError)


def test_the_cause_of_an_exception_counts(tmp_path):
    cause = raised(RuntimeError("CUDA error: out of memory"))
    error = classify_sorter_failure("kilosort4", tmp_path, raised(ValueError("step failed"), cause))
    assert isinstance(error, GPUOutOfMemoryError)


def test_what_is_not_known_is_none(tmp_path):
    assert classify_ks4_failure(tmp_path, raised(KeyError("x"))) is None
    assert classify_rt_sort_failure(tmp_path / "none", raised(KeyError("x"))) is None


def test_a_classified_error_stays_what_it_is(tmp_path):
    known = raised(NoGoodChannelsError("flat"))
    assert classify_ks4_failure(tmp_path, known) is known
