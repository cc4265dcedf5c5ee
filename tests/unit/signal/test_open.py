import os
import shutil

import numpy as np
import pytest
from spikeinterface.core import BinaryRecordingExtractor, NumpyRecording, load
from tests.support.hostile.genuine import GENUINE
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import (
    Failure,
    InputCorruptError,
    InputMissingError,
    InvalidConfigurationError,
)
from spikefleet.signal.formats.reader_errors import reading
from spikefleet.signal.open import list_streams, open_recording

FORMATS = ("maxwell", "spikeglx", "nwb", "binary")


@pytest.mark.parametrize("format", FORMATS)
def test_the_header_tells_what_opening_gives(tmp_path, format):
    path = make_recording(tmp_path, format, seconds=2.0, channels=6).path
    (stream,) = list_streams(path).streams
    recording = open_recording(path, stream.stream)
    assert stream.n_channels == recording.get_num_channels() == 6
    assert stream.sampling_rate_hz == recording.sampling_frequency
    assert stream.duration_s == pytest.approx(2.0)
    assert stream.dtype == str(recording.get_dtype())
    assert recording.get_num_segments() == 1
    assert recording.has_probe()
    assert recording.has_scaleable_traces()


@pytest.mark.parametrize("format", FORMATS)
def test_the_first_stream_opens_when_none_is_named(tmp_path, format):
    path = make_recording(tmp_path, format).path
    assert open_recording(path).get_num_channels() == 8


@pytest.mark.parametrize("format", FORMATS)
def test_an_unknown_stream_is_refused_with_the_known_ones(tmp_path, format):
    path = make_recording(tmp_path, format).path
    known = list_streams(path).streams[0].stream
    with pytest.raises(InvalidConfigurationError, match=known) as caught:
        open_recording(path, "imec9.ap")
    assert caught.value.field == "streams"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("condition", ["truncated", "empty"])
def test_damaged_files_are_named_for_what_they_are(tmp_path, format, condition):
    path = make_recording(tmp_path, format, condition=condition).path
    for attempt in (list_streams, open_recording):
        with pytest.raises(InputCorruptError) as caught:
            attempt(path)
        assert caught.value.reason == condition
        assert caught.value.path


def test_a_missing_path_is_an_input_error(tmp_path):
    with pytest.raises(InputMissingError):
        list_streams(tmp_path / "gone")


def test_an_empty_folder_is_corrupt(tmp_path):
    with pytest.raises(InputCorruptError) as caught:
        list_streams(tmp_path)
    assert caught.value.reason == "empty"


@pytest.mark.parametrize("name", ["notes.txt", "signal.dat"])
def test_unknown_formats_are_answered_with_the_known(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x01\x02" * 5000)
    with pytest.raises(InputCorruptError, match="SpikeGLX") as caught:
        list_streams(tmp_path / name)
    assert caught.value.reason == "unknown_format"


def test_the_name_does_not_decide_the_format(tmp_path):
    path = make_recording(tmp_path, "maxwell").path.rename(tmp_path / "renamed.data")
    assert list_streams(path).format == "maxwell"
    nwb = make_recording(tmp_path, "nwb").path.rename(tmp_path / "renamed.h5")
    assert list_streams(nwb).format == "nwb"


def test_text_with_an_hdf5_name_is_unreadable(tmp_path):
    path = tmp_path / "recording.raw.h5"
    path.write_text("moved to the archive")
    with pytest.raises(InputCorruptError) as caught:
        list_streams(path)
    assert caught.value.reason == "unreadable"


def test_a_folder_that_holds_one_hdf5_file_stands_for_it(tmp_path):
    make_recording(tmp_path / "day", "maxwell")
    assert list_streams(tmp_path / "day").format == "maxwell"


def test_a_folder_of_several_hdf5_files_asks_for_one_by_name(tmp_path):
    for name in ("a", "b"):
        make_recording(tmp_path, "maxwell", name=name)
    with pytest.raises(InputCorruptError) as caught:
        list_streams(tmp_path)
    assert caught.value.evidence["reason"] == "several_recordings"
    assert "a.raw.h5, b.raw.h5" in caught.value.message


def test_a_folder_of_recordings_that_are_folders_names_them(tmp_path):
    for name in ("a", "b"):
        make_recording(tmp_path, "binary", name=name)
    with pytest.raises(InputCorruptError) as caught:
        list_streams(tmp_path)
    assert caught.value.evidence["reason"] == "several_recordings"
    assert "holds 2 recordings (a, b)" in caught.value.message
    shutil.rmtree(tmp_path / "b")
    with pytest.raises(InputCorruptError, match=r"holds a recording \(a\)\. Submit by name\."):
        list_streams(tmp_path)


def test_a_lone_spikeglx_bin_asks_for_its_header(tmp_path):
    folder = make_recording(tmp_path, "spikeglx").path
    next(folder.glob("*.meta")).unlink()
    with pytest.raises(InputMissingError, match=r"\.meta") as caught:
        list_streams(next(folder.glob("*.bin")))
    assert Failure.from_error(caught.value).next_step.startswith("Copy the pair")


def test_a_zarr_folder_opens_and_a_lost_chunk_is_noticed(tmp_path):
    source = load(make_recording(tmp_path, "binary").path)
    source.save(folder=tmp_path / "saved.zarr", format="zarr", verbose=False, progress_bar=False)
    recording = open_recording(tmp_path / "saved.zarr")
    assert np.array_equal(recording.get_traces(), source.get_traces())
    os.remove(sorted((tmp_path / "saved.zarr" / "traces_seg0").glob("1*"))[0])
    with pytest.raises(InputCorruptError) as caught:
        open_recording(tmp_path / "saved.zarr")
    assert caught.value.reason == "truncated"


def test_a_zarr_copied_under_another_name_still_opens(tmp_path):
    source = load(make_recording(tmp_path, "binary").path)
    source.save(folder=tmp_path / "a.zarr", format="zarr", verbose=False, progress_bar=False)
    shutil.move(tmp_path / "a.zarr", tmp_path / "files")
    assert list_streams(tmp_path / "files").format == "spikeinterface"


def test_a_recording_without_geometry_is_refused(tmp_path):
    plain = NumpyRecording([np.zeros((100, 4), dtype="int16")], 30000.0)
    plain.save(folder=tmp_path / "plain", verbose=False, progress_bar=False)
    with pytest.raises(InputCorruptError) as caught:
        open_recording(tmp_path / "plain")
    assert caught.value.reason == "no_geometry"


def test_two_segments_are_refused(tmp_path):
    block = np.zeros((100, 4), dtype="int16")
    plain = NumpyRecording([block, block], 30000.0)
    plain.set_dummy_probe_from_locations(np.array([[0.0, 20.0 * i] for i in range(4)]))
    plain.save(folder=tmp_path / "two", verbose=False, progress_bar=False)
    with pytest.raises(InputCorruptError) as caught:
        open_recording(tmp_path / "two")
    assert caught.value.reason == "several_segments"


def test_foreign_exceptions_end_at_the_edge(tmp_path):
    with pytest.raises(InputCorruptError) as caught, reading(tmp_path / "x.bin"):
        BinaryRecordingExtractor([], 1.0, "int16", 1).get_traces()
    assert caught.value.__cause__ is not None
    with pytest.raises(MemoryError), reading(tmp_path):
        raise MemoryError


@pytest.mark.parametrize("layout", sorted(GENUINE))
def test_the_reader_that_was_chosen_before_opens_the_same(tmp_path, layout):
    path = GENUINE[layout](tmp_path)
    described = list_streams(path)
    stream = described.streams[0].stream
    chosen = open_recording(path, stream, format=described.format)
    assert np.array_equal(chosen.get_traces(), open_recording(path, stream).get_traces())


def test_a_reader_that_does_not_know_the_files_is_not_tried(tmp_path):
    path = GENUINE["raw binary"](tmp_path)
    with pytest.raises(InputCorruptError) as caught:
        open_recording(path, format="blackrock")
    assert caught.value.reason == "unknown_format"


def test_a_reader_that_does_not_exist_is_refused_with_the_known_ones(tmp_path):
    path = GENUINE["raw binary"](tmp_path)
    with pytest.raises(InvalidConfigurationError, match="raw_binary") as caught:
        open_recording(path, format="raw")
    assert caught.value.field == "format"


def test_the_chosen_reader_decides_between_two_that_would_do(tmp_path):
    folder = tmp_path / "both"
    GENUINE["neuralynx"](tmp_path).rename(folder)
    GENUINE["raw binary"](folder)
    with pytest.raises(InputCorruptError, match="ways"):
        open_recording(folder)
    assert open_recording(folder, format="neuralynx").get_num_channels() == 4
    assert list(open_recording(folder, format="raw_binary").channel_ids) != []
