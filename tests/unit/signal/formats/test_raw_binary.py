import json

import numpy as np
import pytest
from tests.support.formats.raw_binary import probe_of, smooth_samples, write_raw_binary
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import InputCorruptError, InputMissingError
from spikefleet.core.recording.file_sets import recording_files
from spikefleet.signal.open import list_streams, open_recording

SAMPLES = smooth_samples(6000, 8)


def refusal(path):
    with pytest.raises(InputCorruptError) as caught:
        open_recording(path)
    return caught.value


def test_samples_read_back_with_everything_the_sidecar_says(tmp_path):
    gains = [0.1 * (index + 1) for index in range(8)]
    path = write_raw_binary(
        tmp_path / "day.raw",
        SAMPLES,
        gain_to_uv=gains,
        offset_to_uv=-3.0,
        channel_ids=[f"e{index}" for index in range(8)],
        n_samples=6000,
    )
    (stream,) = list_streams(path).streams
    assert (stream.stream, stream.n_channels, stream.duration_s) == ("traces", 8, 0.3)
    recording = open_recording(path)
    assert np.array_equal(recording.get_traces(), SAMPLES)
    assert recording.sampling_frequency == 20000.0
    assert list(recording.channel_ids) == [f"e{index}" for index in range(8)]
    assert recording.get_channel_gains() == pytest.approx(gains)
    assert recording.get_channel_offsets() == pytest.approx(-3.0)
    assert recording.get_channel_locations()[:, 1].tolist() == [20.0 * i for i in range(8)]


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", ">i2"])
def test_other_types_and_byte_orders_read_back(tmp_path, dtype):
    samples = (SAMPLES + 2048 if dtype == "uint16" else SAMPLES).astype(dtype)
    said = ">int16" if dtype == ">i2" else dtype
    path = write_raw_binary(tmp_path / "day.bin", samples, dtype=said)
    assert np.array_equal(open_recording(path).get_traces(), samples)


def test_the_sidecar_or_the_folder_stands_for_the_pair(tmp_path):
    path = write_raw_binary(tmp_path / "day.dat", SAMPLES)
    for submitted in (path.with_suffix(".json"), tmp_path):
        assert np.array_equal(open_recording(submitted).get_traces(), SAMPLES)
    root, files, entry = recording_files(path)
    assert sorted(file.name for file in files) == ["day.dat", "day.json"]
    assert (root, entry) == (tmp_path, "day.dat")


@pytest.mark.parametrize("name", ["day.raw", "day.bin"])
def test_samples_without_a_sidecar_ask_for_it(tmp_path, name):
    path = write_raw_binary(tmp_path / name, SAMPLES)
    path.with_suffix(".json").unlink()
    with pytest.raises(InputMissingError, match=r"\.json"):
        open_recording(path)


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "int8"},
        {"dtype": None},
        {"n_channels": 8.0},
        {"n_channels": True},
        {"sampling_rate_hz": 0},
        {"sampling_rate_hz": "20 kHz"},
        {"gain_to_uv": 0},
        {"gain_to_uv": [1.0] * 7},
        {"offset_to_uv": "none"},
        {"probe": "A1x32"},
        {"sample_rate": 20000},
        {"channel_ids": ["a"]},
        {"n_samples": -1},
    ],
)
def test_a_wrong_key_is_refused_by_name(tmp_path, change):
    (key,) = change
    path = write_raw_binary(tmp_path / "day.raw", SAMPLES)
    sidecar = json.loads(path.with_suffix(".json").read_text()) | change
    kept = {name: value for name, value in sidecar.items() if value is not None}
    path.with_suffix(".json").write_text(json.dumps(kept))
    error = refusal(path)
    assert error.reason == "sidecar"
    assert key in error.message


def test_a_sidecar_that_is_not_json_is_unreadable(tmp_path):
    path = write_raw_binary(tmp_path / "day.raw", SAMPLES)
    path.with_suffix(".json").write_text("{")
    assert refusal(path).reason == "unreadable"


def test_a_channel_named_twice_is_refused(tmp_path):
    ids = ["a", "b", "c", "d", "e", "f", "g", "a"]
    path = write_raw_binary(tmp_path / "day.raw", SAMPLES, channel_ids=ids)
    assert refusal(path).reason == "duplicate_channels"


def test_a_probe_for_other_channels_is_refused(tmp_path):
    path = write_raw_binary(tmp_path / "day.raw", SAMPLES, probe=probe_of(4))
    assert refusal(path).reason == "geometry"


@pytest.mark.parametrize("n_bytes", [7, 3000])
def test_a_file_cut_short_is_truncated(tmp_path, n_bytes):
    path = write_raw_binary(tmp_path / "day.raw", SAMPLES, n_samples=6000)
    path.write_bytes(path.read_bytes()[:-n_bytes])
    assert refusal(path).reason == "truncated"


def test_a_file_without_samples_is_empty(tmp_path):
    path = write_raw_binary(tmp_path / "day.raw", SAMPLES)
    path.write_bytes(b"")
    assert refusal(path).reason == "empty"


@pytest.mark.parametrize(
    ("stored", "said"),
    [("int16", "uint16"), ("int16", "float32"), ("int16", "int32"), ("float32", "int16")],
)
def test_a_wrong_type_of_fitting_size_is_noticed(tmp_path, stored, said):
    path = write_raw_binary(tmp_path / "day.raw", SAMPLES.astype(stored), dtype=said)
    assert refusal(path).reason == "wrong_dtype"


@pytest.mark.parametrize("n_channels", [2, 4, 6, 16, 24])
def test_a_wrong_channel_count_that_divides_is_noticed(tmp_path, n_channels):
    path = write_raw_binary(tmp_path / "day.raw", SAMPLES, n_channels=n_channels)
    error = refusal(path)
    assert error.reason == "wrong_channel_count"
    assert "as 8" in error.message


def test_two_readable_pairs_in_a_folder_are_listed(tmp_path):
    write_raw_binary(tmp_path / "one.raw", SAMPLES)
    write_raw_binary(tmp_path / "two.raw", SAMPLES)
    error = refusal(tmp_path)
    assert error.reason == "several_recordings"
    assert "one.raw, two.raw" in error.message


def test_a_file_two_formats_claim_is_answered_with_both(tmp_path):
    path = write_raw_binary(tmp_path / "day.bin", SAMPLES)
    path.with_suffix(".meta").write_text("nSavedChans=8\n")
    error = refusal(path)
    assert error.reason == "two_candidates"
    assert "spikeglx" in error.message
    assert "raw_binary" in error.message


def test_a_folder_two_formats_claim_is_answered_with_both(tmp_path):
    write_raw_binary(tmp_path / "day.raw", SAMPLES)
    make_recording(tmp_path, "maxwell", seconds=0.5, channels=4, units=2)
    error = refusal(tmp_path)
    assert error.reason == "two_candidates"
    assert "maxwell (recording.raw.h5)" in error.message
