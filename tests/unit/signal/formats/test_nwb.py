import json

import numpy as np
import pytest
from tests.support.formats.nwb_zarr import GAIN_TO_UV, RATE_HZ, write_nwb
from tests.support.formats.probes import write_probe

from spikefleet.core.failures.errors import InputCorruptError, InvalidConfigurationError
from spikefleet.signal.measuring.truth_checks import check_truth
from spikefleet.signal.open import list_streams, open_recording

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
def test_time_stamps_that_are_set_back_part_takes(tmp_path, name):
    stamps_s = 5.0 + np.arange(1000) / RATE_HZ
    stamps_s[700:] -= 5.0
    stamps_s[900:] += 6 / RATE_HZ
    path = write_nwb(tmp_path / name, SAMPLES, timestamps_s=stamps_s)
    streams = list_streams(path).streams
    assert [entry.stream.rpartition("/")[2] for entry in streams] == ["take0", "take1"]
    assert [round(entry.duration_s * RATE_HZ) for entry in streams] == [700, 300]
    first, second = (open_recording(path, entry.stream) for entry in streams)
    assert np.array_equal(np.concatenate([first.get_traces(), second.get_traces()]), SAMPLES)
    assert first.get_annotation("take")["start_s"] == pytest.approx(5.0)
    assert second.get_annotation("frame_gaps") == [[200, 6]]


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


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("clock", ["unix", "microseconds"])
def test_the_rate_of_a_series_with_stamps_is_that_of_all_of_them(tmp_path, name, clock):
    samples = np.zeros((60_000, 4), dtype="<i2")
    stamps_s = np.arange(60_000) / 30_000
    stamps_s = 1.7e9 + stamps_s if clock == "unix" else np.round(stamps_s, 6)
    path = write_nwb(tmp_path / name, samples, timestamps_s=stamps_s)
    assert list_streams(path).streams[0].sampling_rate_hz == pytest.approx(30_000, rel=1e-5)
    assert open_recording(path).sampling_frequency == pytest.approx(30_000, rel=1e-5)
    assert open_recording(path).get_annotation("frame_gaps") == []


@pytest.mark.parametrize(("second_name", "rate_hz"), [("probe0b", 2500.0), ("SeriesLF", 20_000.0)])
def test_a_slow_or_field_potential_series_is_another_stream_and_refused_by_name(
    tmp_path, second_name, rate_hz
):
    path = write_nwb(
        tmp_path / "a.nwb", SAMPLES, second=SAMPLES, second_name=second_name, rate_hz=rate_hz
    )
    described = list_streams(path)
    assert [entry.stream for entry in described.streams] == ["acquisition/probe0"]
    assert f"acquisition/{second_name}" in described.other_streams
    assert open_recording(path).get_num_channels() == 4
    with pytest.raises(InvalidConfigurationError, match=r"too slowly|field potential"):
        open_recording(path, f"acquisition/{second_name}")


def test_data_stored_channels_by_time_is_named_as_transposed(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", SAMPLES.T[:, :300], electrodes=[0, 1, 2, 3])
    with pytest.raises(InputCorruptError, match="4 electrodes, data of 4 x 300") as caught:
        list_streams(path)
    assert caught.value.reason == "transposed"


def test_two_probes_on_the_same_places_are_laid_apart_and_told(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", SAMPLES, n_groups=2)
    recording = open_recording(path)
    places = recording.get_channel_locations()
    assert len(np.unique(places, axis=0)) == 4
    assert abs(places[0, 0] - places[2, 0]) >= 1000
    assert len(recording.get_probegroup().probes) == 1
    assert "probes_laid_apart" in [each.code for each in check_truth(recording)]


def test_a_probe_json_places_a_file_without_rel_x(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", SAMPLES, placed=False)
    with pytest.raises(InputCorruptError) as caught:
        open_recording(path)
    assert caught.value.reason == "no_geometry"
    write_probe(tmp_path, 4)
    assert open_recording(path).has_probe()
    assert open_recording(tmp_path).has_probe()


def test_one_repeated_stamp_is_told_and_costs_nothing(tmp_path):
    stamps_s = np.arange(1000) / RATE_HZ
    stamps_s[500] = stamps_s[499]
    recording = open_recording(write_nwb(tmp_path / "a.nwb", SAMPLES, timestamps_s=stamps_s))
    assert "repeated_stamps" in [each.code for each in check_truth(recording)]


def test_an_array_that_zarr_would_unpickle_is_never_read(tmp_path):
    path = write_nwb(tmp_path / "day.zarr", SAMPLES)
    header = path / "acquisition/probe0/electrodes/.zarray"
    document = json.loads(header.read_text())
    document |= {"dtype": "|O", "filters": [{"id": "pickle", "protocol": 5}]}
    header.write_text(json.dumps(document))
    with pytest.raises(InputCorruptError) as caught:
        open_recording(path)
    assert caught.value.reason == "unsafe"
