import numpy as np
import pytest
from tests.support.formats.nwb_zarr import GAIN_TO_UV, RATE_HZ, write_nwb

from spikefleet.core.failures.errors import InputCorruptError, InvalidConfigurationError
from spikefleet.core.recordings.open import list_streams, open_recording

SAMPLES = np.random.default_rng(0).integers(-500, 500, (1000, 4), dtype="<i2")
BACKENDS = ("day.nwb", "day.zarr")


@pytest.mark.parametrize("name", BACKENDS)
def test_each_series_is_a_stream_opened_by_its_path(tmp_path, name):
    path = write_nwb(tmp_path / name, SAMPLES, second=SAMPLES[:600] + 1)
    description = list_streams(path)
    assert description.format == "nwb"
    assert [entry.stream for entry in description.streams] == [
        "acquisition/probe0",
        "acquisition/probe1",
    ]
    assert description.other_streams == ("processing/ecephys/LFP/slow",)
    recording = open_recording(path, "acquisition/probe1")
    assert np.array_equal(recording.get_traces(), SAMPLES[:600] + 1)
    assert recording.sampling_frequency == RATE_HZ
    assert recording.get_channel_gains() == pytest.approx(GAIN_TO_UV)
    assert recording.get_channel_locations()[:, 1].tolist() == [0, 25, 50, 75]
    with pytest.raises(InvalidConfigurationError):
        open_recording(path)


@pytest.mark.parametrize("name", BACKENDS)
def test_time_stamps_with_a_pause_are_a_gap_with_place_and_length(tmp_path, name):
    stamps_s = np.arange(1000) / RATE_HZ
    stamps_s[400:] += 37 / RATE_HZ
    recording = open_recording(write_nwb(tmp_path / name, SAMPLES, timestamps_s=stamps_s))
    assert recording.sampling_frequency == pytest.approx(RATE_HZ)
    assert recording.get_annotation("frame_gaps") == [[400, 37]]


@pytest.mark.parametrize("name", BACKENDS)
def test_time_stamps_that_run_backwards_are_refused(tmp_path, name):
    stamps_s = np.arange(1000) / RATE_HZ
    stamps_s[700:] -= 0.01
    with pytest.raises(InputCorruptError) as caught:
        open_recording(write_nwb(tmp_path / name, SAMPLES, timestamps_s=stamps_s))
    assert caught.value.reason == "clock"


def test_an_electrode_named_twice_is_refused(tmp_path):
    path = write_nwb(tmp_path / "day.nwb", SAMPLES, electrodes=[0, 1, 1, 3])
    with pytest.raises(InputCorruptError) as caught:
        open_recording(path)
    assert caught.value.reason == "duplicate_channels"


def test_a_lost_zarr_chunk_is_truncated_not_zero(tmp_path):
    path = write_nwb(tmp_path / "day.zarr", SAMPLES)
    (path / "acquisition/probe0/data/2.0").unlink()
    with pytest.raises(InputCorruptError) as caught:
        open_recording(path)
    assert caught.value.reason == "truncated"
