import json
import pickle

import numcodecs
import numpy as np
import pytest
import zarr
from spikeinterface.core import NumpyRecording, load
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.open import list_streams, open_recording


def cut(folder, n_frames, n_channels, itemsize_bytes=2):
    raw = folder / "traces_cached_seg0.raw"
    raw.write_bytes(raw.read_bytes()[: -n_frames * n_channels * itemsize_bytes])


def saved(tmp_path, **how):
    recording = NumpyRecording([np.arange(4000, dtype="int16").reshape(-1, 4)], 20000.0)
    recording.set_dummy_probe_from_locations(np.array([[0.0, 20.0 * i] for i in range(4)]))
    recording.set_channel_gains(0.5)
    recording.set_channel_offsets(0.0)
    if how.get("times"):
        recording.set_times(3.0 + np.arange(1000) / 20000.0)
    recording.save(folder=tmp_path / "saved", verbose=False, progress_bar=False)
    return recording, tmp_path / "saved"


def test_a_folder_reads_back_bit_exact_with_rate_gain_ids_and_positions(tmp_path):
    recording, folder = saved(tmp_path)
    back = open_recording(folder)
    assert np.array_equal(back.get_traces(), recording.get_traces())
    assert back.sampling_frequency == 20000.0
    assert back.channel_ids.tolist() == recording.channel_ids.tolist()
    assert back.get_channel_gains().tolist() == [0.5] * 4
    assert np.array_equal(back.get_channel_locations(), recording.get_channel_locations())
    assert np.array_equal(load(folder).get_traces(), back.get_traces())


@pytest.mark.parametrize("known_by", ["annotation", "times"])
def test_a_folder_cut_between_frames_is_truncated_where_its_length_is_known(tmp_path, known_by):
    if known_by == "times":
        _, folder = saved(tmp_path, times=True)
        n_channels = 4
    else:
        folder, n_channels = make_recording(tmp_path, "binary").path, 8
    assert list_streams(folder)
    cut(folder, 5, n_channels)
    with pytest.raises(InputCorruptError) as caught:
        list_streams(folder)
    assert caught.value.reason == "truncated"


def test_a_wrong_channel_count_that_does_not_divide_is_truncated(tmp_path):
    _, folder = saved(tmp_path)
    header = json.loads((folder / "binary.json").read_text())
    header["kwargs"]["num_channels"] = 3
    (folder / "binary.json").write_text(json.dumps(header))
    with pytest.raises(InputCorruptError):
        list_streams(folder)


class Mark:
    """Unpickled, it leaves a file: whoever loads it has run somebody else's code."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return (open, (str(self.place), "w"))


def change_header(folder, **changes):
    header = json.loads((folder / "binary.json").read_text())
    header["kwargs"] |= changes.pop("kwargs", {})
    (folder / "binary.json").write_text(json.dumps(header | changes))


def pickled_property(folder, mark):
    np.save(folder / "properties/evil.npy", np.array([Mark(mark)] * 4, dtype=object))


def bare_pickle_as_property(folder, mark):
    (folder / "properties/evil.npy").write_bytes(pickle.dumps(Mark(mark)))


def archive_as_property(folder, mark):
    np.savez(folder / "properties/evil.npz", a=np.array([Mark(mark)], dtype=object))


def climbing_path(folder, mark):
    (folder.parent / "secret.raw").write_bytes(bytes(8000))
    change_header(folder, kwargs={"file_paths": ["../secret.raw"]})


def absolute_path(folder, mark):
    (folder.parent / "secret.raw").write_bytes(bytes(8000))
    change_header(folder, kwargs={"file_paths": [str(folder.parent / "secret.raw")]})


def other_class(folder, mark):
    change_header(folder, **{"class": "spikeinterface.core.NumpyRecording"})


@pytest.mark.parametrize(
    "attack",
    [
        pickled_property,
        bare_pickle_as_property,
        archive_as_property,
        climbing_path,
        absolute_path,
        other_class,
    ],
)
def test_a_folder_that_would_run_code_or_read_elsewhere_is_refused_unread(tmp_path, attack):
    _, folder = saved(tmp_path)
    attack(folder, tmp_path / "mark")
    with pytest.raises(InputCorruptError) as caught:
        list_streams(folder)
    assert caught.value.reason == "unsafe"
    assert not (tmp_path / "mark").exists()


def zarr_folder(tmp_path):
    recording, _ = saved(tmp_path)
    recording.save(folder=tmp_path / "day.zarr", format="zarr", verbose=False, progress_bar=False)
    return tmp_path / "day.zarr"


def test_a_zarr_folder_reads_back_bit_exact(tmp_path):
    folder = zarr_folder(tmp_path)
    assert np.array_equal(
        open_recording(folder).get_traces(), np.arange(4000, dtype="int16").reshape(-1, 4)
    )


@pytest.mark.parametrize(
    "change",
    [
        {"filters": [{"id": "pickle", "protocol": 5}], "dtype": "|O"},
        {"filters": [{"id": "json2"}], "dtype": "|O"},
        {"compressor": {"id": "somebody's own"}},
        {"dtype": "|O"},
        {"chunks": [1 << 40, 4]},
        {"chunks": [0, 4]},
        {"shape": "all"},
    ],
)
@pytest.mark.parametrize("consolidated", [True, False])
def test_a_zarr_array_of_objects_or_unknown_codecs_is_refused(tmp_path, change, consolidated):
    folder = zarr_folder(tmp_path)
    if consolidated:
        zarr.consolidate_metadata(str(folder))
        file = folder / ".zmetadata"
        document = json.loads(file.read_text())
        document["metadata"]["traces_seg0/.zarray"] |= change
    else:
        file = folder / "traces_seg0/.zarray"
        document = json.loads(file.read_text()) | change
    file.write_text(json.dumps(document))
    with pytest.raises(InputCorruptError) as caught:
        list_streams(folder)
    assert caught.value.reason in ("unsafe", "absurd", "unreadable")


def test_numcodecs_has_forgotten_its_pickle():
    with pytest.raises(ValueError, match="pickle"):
        numcodecs.get_codec({"id": "pickle"})
