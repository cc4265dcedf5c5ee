import json

import numpy as np
import pytest
from spikeinterface.core import NumpyRecording, load
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.core.recordings.open import list_streams, open_recording


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
