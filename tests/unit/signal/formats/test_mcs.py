import h5py
import numpy as np
import pytest
from tests.support.formats.mcs import write_mcs

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.open import list_streams, open_recording

SAMPLES = np.random.default_rng(0).integers(-2000, 2000, (6, 500), dtype="<i4")


def test_an_export_reads_back_with_ids_scale_and_places(tmp_path):
    path = write_mcs(tmp_path / "slice.h5", SAMPLES)
    description = list_streams(path)
    (stream,) = description.streams
    assert description.format == "mcs"
    assert description.other_streams == ("Stream_1",)
    assert (stream.stream, stream.n_channels, stream.sampling_rate_hz) == ("Stream_0", 5, 20000.0)
    recording = open_recording(path)
    assert list(recording.channel_ids) == ["10", "11", "12", "14", "15"]
    assert np.array_equal(recording.get_traces(), SAMPLES[[5, 4, 3, 1, 0]].T)
    assert recording.get_channel_locations()[:2].tolist() == [[600.0, 1200.0], [600.0, 1400.0]]
    gains = recording.get_channel_gains()
    assert gains[:2] == pytest.approx([59605e-6, 59606e-6])
    assert recording.get_channel_offsets() == pytest.approx(-100 * gains)


def test_the_reference_electrode_is_left_out(tmp_path):
    recording = open_recording(write_mcs(tmp_path / "slice.h5", SAMPLES))
    assert "Ref" not in recording.get_property("electrode_label").tolist()


def test_a_pause_between_blocks_is_a_gap_with_place_and_length(tmp_path):
    blocks = ((1000, 0, 199), (1000 + 200 * 50 + 7 * 50, 200, 499))
    recording = open_recording(write_mcs(tmp_path / "slice.h5", SAMPLES, blocks=blocks))
    assert recording.get_annotation("frame_gaps") == [[200, 7]]
    assert recording.get_annotation("dropped_frames") == 7


def test_blocks_whose_clock_is_set_back_part_takes(tmp_path):
    blocks = ((10_000_000, 0, 199), (0, 200, 299), (107 * 50, 300, 499))
    path = write_mcs(tmp_path / "slice.h5", SAMPLES, blocks=blocks)
    names = ["Stream_0/take0", "Stream_0/take1"]
    described = list_streams(path).streams
    assert [(entry.stream, round(entry.duration_s * 20_000)) for entry in described] == [
        (names[0], 200),
        (names[1], 300),
    ]
    first, second = (open_recording(path, name) for name in names)
    assert (first.get_num_samples(), second.get_num_samples()) == (200, 300)
    assert first.get_annotation("take")["start_s"] == pytest.approx(10.0)
    assert second.get_annotation("frame_gaps") == [[100, 7]]


def test_fewer_samples_than_the_header_counts_are_truncated(tmp_path):
    path = write_mcs(tmp_path / "slice.h5", SAMPLES, blocks=((0, 0, 999),))
    with pytest.raises(InputCorruptError) as caught:
        open_recording(path)
    assert caught.value.reason == "truncated"


def test_a_channel_listed_twice_is_refused(tmp_path):
    path = write_mcs(tmp_path / "slice.h5", SAMPLES, ids=(1, 2, 2, 4, 5, 6))
    with pytest.raises(InputCorruptError) as caught:
        open_recording(path)
    assert caught.value.reason == "duplicate_channels"


@pytest.mark.parametrize(("place", "value"), [("Unit", b"A"), ("ConversionFactor", None)])
def test_another_unit_or_a_lost_column_is_refused(tmp_path, place, value):
    path = write_mcs(tmp_path / "slice.h5", SAMPLES)
    with h5py.File(path, "r+") as file:
        stream = file["Data/Recording_0/AnalogStream/Stream_0"]
        table = stream["InfoChannel"][:]
        del stream["InfoChannel"]
        if value is None:
            table = table[[name for name in table.dtype.names if name != place]].copy()
        else:
            table[place] = value
        stream["InfoChannel"] = table
    with pytest.raises(InputCorruptError):
        open_recording(path)


def test_an_array_of_unknown_pitch_has_no_geometry(tmp_path):
    path = write_mcs(tmp_path / "slice.h5", SAMPLES)
    with h5py.File(path, "r+") as file:
        file["Data"].attrs["MeaName"] = "my own array"
    assert list_streams(path).streams[0].n_channels == 5
    with pytest.raises(InputCorruptError) as caught:
        open_recording(path)
    assert caught.value.reason == "no_geometry"
