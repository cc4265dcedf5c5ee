import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.support.formats.biocam import SAMPLES, write_new, write_old

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.open import list_streams, open_recording

REAL = Path("../shared/data/recordings/biocam")
needs_real_files = pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is not here")


def test_every_well_of_a_plate_is_a_stream_of_its_own(tmp_path):
    path = write_new(tmp_path / "plate.brw", wells=("Well_A1", "Well_B2"))
    assert [entry.stream for entry in list_streams(path).streams] == ["Well_A1", "Well_B2"]
    second = open_recording(path, "Well_B2")
    assert np.array_equal(second.get_traces(), SAMPLES + 1)
    assert np.array_equal(
        second.get_traces(channel_ids=second.channel_ids[[2, 0]]), SAMPLES[:, [2, 0]] + 1
    )


def test_places_follow_the_stored_channels(tmp_path):
    recording = open_recording(write_new(tmp_path / "plate.brw"))
    assert recording.get_channel_locations().tolist() == [[0, 0], [0, 60], [60, 0], [60, 60]]
    assert list(recording.channel_ids) == ["1-1", "1-2", "2-1", "2-2"]
    assert recording.get_channel_gains() == pytest.approx(16000 / 4095)
    assert recording.get_channel_offsets() == pytest.approx(-8000)


@pytest.mark.parametrize(("inversion", "expected"), [(1.0, SAMPLES), (-1.0, 4096 - SAMPLES)])
def test_a_signal_stored_upside_down_is_turned(tmp_path, inversion, expected):
    recording = open_recording(write_old(tmp_path / "old.brw", inversion))
    assert np.array_equal(recording.get_traces(), expected)
    assert recording.get_channel_gains() == pytest.approx(8250 / 4096)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"stored": (0, 1, 2, 3, 4, 5, 6)}, "truncated"), ({"frames": 900}, "truncated")],
)
def test_a_short_file_is_truncated(tmp_path, change, reason):
    with pytest.raises(InputCorruptError) as caught:
        list_streams(write_new(tmp_path / "plate.brw", **change))
    assert caught.value.reason == reason


def test_a_file_of_snippets_is_refused_not_filled_in(tmp_path):
    path = write_new(tmp_path / "plate.brw")
    with h5py.File(path, "r+") as file:
        file.move("Well_A1/Raw", "Well_A1/EventsBasedSparseRaw")
    with pytest.raises(InputCorruptError) as caught:
        list_streams(path)
    assert caught.value.reason == "not_continuous"


def test_a_channel_stored_twice_is_refused(tmp_path):
    with pytest.raises(InputCorruptError) as caught:
        open_recording(write_new(tmp_path / "plate.brw", stored=(0, 1, 1, 3)))
    assert caught.value.reason == "duplicate_channels"


@needs_real_files
def test_a_real_file_of_brainwave_3_reads_as_neo_reads_it(tmp_path):
    read_biocam = pytest.importorskip("spikeinterface.extractors").read_biocam
    path = REAL / "biocam_fw1.6.brw"
    copied = tmp_path / path.name
    shutil.copyfile(path, copied)
    ours, theirs = open_recording(path), read_biocam(copied)
    assert ours.get_num_channels() == 36
    assert ours.get_num_samples() == 19754
    assert np.array_equal(ours.get_traces(), theirs.get_traces())
    assert np.array_equal(ours.get_traces(return_in_uV=True), theirs.get_traces(return_in_uV=True))
    assert np.array_equal(ours.get_channel_locations(), theirs.get_channel_locations())


@needs_real_files
def test_a_real_file_of_brainwave_4_reads_whole(tmp_path):
    path = REAL / "biocam_fw1.7_raw.brw"
    recording = open_recording(path)
    assert (recording.get_num_samples(), recording.get_num_channels()) == (5000, 100)
    with h5py.File(path, locking=False) as file:
        assert np.array_equal(recording.get_traces().reshape(-1), file["Well_A1/Raw"][:])
    uv = recording.get_traces(return_in_uV=True)
    assert abs(float(np.median(uv))) < 50
