import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.support.formats.maxwell import compressed_by_the_vendor, compressed_with
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import HDF5PluginMissingError, InputCorruptError
from spikefleet.signal.formats.hdf5 import add_plugin_path
from spikefleet.signal.open import list_streams, open_recording

REAL_PLATE = Path("../shared/data/recordings/maxwell/maxtwo_6wells.raw.h5")
MAPPING = [("channel", "<i4"), ("electrode", "<i4"), ("x", "<f8"), ("y", "<f8")]


def with_mapping(path, change):
    """Return a copy of the file whose mapping is changed; the original may be open."""
    changed = path.with_name("changed.raw.h5")
    shutil.copyfile(path, changed)
    with h5py.File(changed, "r+") as file:
        settings = file["wells/well000/rec0000/settings"]
        mapping = change(settings["mapping"][:])
        del settings["mapping"]
        settings["mapping"] = mapping
    return changed


def test_wells_under_different_recording_ids_all_open(tmp_path):
    path = make_recording(tmp_path, "maxwell", seconds=0.5, channels=4, units=2, wells=8).path
    description = list_streams(path)
    assert [entry.stream for entry in description.streams] == [f"well{i:03d}" for i in range(8)]
    with h5py.File(path) as file:
        assert list(file["wells/well007"]) == ["rec0001"]
    traces = [open_recording(path, entry.stream).get_traces() for entry in description.streams]
    assert len({block.tobytes() for block in traces}) == 8


def test_a_silent_well_holds_one_value_and_its_neighbours_do_not(tmp_path):
    path = make_recording(
        tmp_path, "maxwell", seconds=0.5, channels=4, units=2, wells=2, silent_wells=(1,)
    ).path
    assert np.unique(open_recording(path, "well001").get_traces()).size == 1
    assert np.unique(open_recording(path, "well000").get_traces()).size > 10


def test_a_later_take_of_a_well_opens_when_named(tmp_path):
    path = make_recording(tmp_path, "maxwell", seconds=0.5, channels=4, units=2).path
    with h5py.File(path, "r+") as file:
        file.copy(file["data_store/data0000"], file["data_store"], name="data0001")
        file["data_store/data0001/groups/routed/raw"][...] = 7
        file["wells/well000/rec0001"] = h5py.SoftLink("/data_store/data0001")
    description = list_streams(path)
    assert [entry.stream for entry in description.streams] == ["well000"]
    assert description.other_streams == ("well000/rec0001",)
    assert np.unique(open_recording(path, "well000/rec0001").get_traces()) == [7]
    assert np.unique(open_recording(path, "well000").get_traces()).size > 10


def test_a_channel_mapped_twice_keeps_its_first_electrode(tmp_path):
    path = make_recording(tmp_path, "maxwell").path
    before = open_recording(path)

    def repeat(mapping):
        extra = mapping[[0, 3]].copy()
        extra["electrode"], extra["x"] = 9, 9999.0
        return np.concatenate([mapping, extra])

    after = open_recording(with_mapping(path, repeat))
    assert list(after.channel_ids) == list(before.channel_ids)
    assert np.array_equal(after.get_channel_locations(), before.get_channel_locations())
    assert np.array_equal(after.get_traces(), before.get_traces())


def test_only_routed_channels_are_read(tmp_path):
    path = make_recording(tmp_path, "maxwell").path
    before = open_recording(path)
    after = open_recording(with_mapping(path, lambda mapping: mapping[2:]))
    assert after.get_annotation("unplaced_channels") == 2
    assert list(after.channel_ids) == list(before.channel_ids)[2:]
    assert np.array_equal(after.get_traces(), before.get_traces()[:, 2:])


def test_any_choice_of_channels_reads_the_right_rows(tmp_path):
    recording = open_recording(make_recording(tmp_path, "maxwell").path)
    everything = recording.get_traces()
    for chosen in ([5], [6, 2], [7, 0, 3]):
        ids = recording.channel_ids[chosen]
        block = recording.get_traces(start_frame=11, end_frame=99, channel_ids=ids)
        assert np.array_equal(block, everything[11:99, chosen])


def test_the_layout_of_2016_opens(tmp_path):
    path = tmp_path / "old.raw.h5"
    samples = np.random.default_rng(0).integers(400, 600, (1028, 500), dtype="<u2")
    mapping = np.array(
        [(3, 100, 17.5, 35.0), (700, 101, 35.0, 35.0), (-1, 102, 0.0, 0.0)], dtype=MAPPING
    )
    with h5py.File(path, "w") as file:
        file["version"] = np.array([b"20160704"])
        file["mapping"] = mapping
        file["settings/gain"] = np.array([512.0])
        file["sig"] = samples
    recording = open_recording(path)
    assert recording.sampling_frequency == 20000.0
    assert list(recording.channel_ids) == ["3", "700"]
    assert recording.get_channel_gains() == pytest.approx(3.3 / (1024 * 512) * 1e6)
    assert np.array_equal(recording.get_traces(), samples[[3, 700]].T)


def test_frames_the_system_dropped_are_counted(tmp_path):
    path = make_recording(tmp_path, "maxwell").path
    with h5py.File(path, "r+") as file:
        numbers = file["data_store/data0000/groups/routed/frame_nos"]
        numbers[5000:] = numbers[5000:] + 37
    assert open_recording(path).get_annotation("dropped_frames") == 37


def test_a_well_without_samples_is_empty(tmp_path):
    path = make_recording(tmp_path, "maxwell").path
    with h5py.File(path, "r+") as file:
        routed = file["data_store/data0000/groups/routed"]
        del routed["raw"]
        routed["raw"] = np.zeros((8, 0), dtype="<u2")
    with pytest.raises(InputCorruptError) as caught:
        list_streams(path)
    assert caught.value.reason == "empty"


def test_a_missing_filter_names_the_plugin_folder(tmp_path):
    path = compressed_by_the_vendor(make_recording(tmp_path, "maxwell").path)
    assert list_streams(path).streams[0].n_channels == 8
    folder = str(tmp_path / "plugins")
    with pytest.raises(HDF5PluginMissingError, match="401") as caught:
        open_recording(path, hdf5_plugin_path=folder)
    assert caught.value.configured_path == folder
    assert "HDF5_PLUGIN_PATH" not in os.environ or folder not in os.environ["HDF5_PLUGIN_PATH"]


def test_a_filter_that_is_no_vendors_is_the_files_own_matter(tmp_path):
    path = compressed_with(make_recording(tmp_path, "maxwell").path, 32015)
    with pytest.raises(InputCorruptError, match=r"32015 \(Zstandard\).*h5repack") as caught:
        open_recording(path)
    assert caught.value.reason == "filter"


@pytest.mark.skipif(not REAL_PLATE.exists(), reason=f"{REAL_PLATE} is not here")
def test_a_real_plate_lists_its_wells_and_asks_for_the_vendors_plugin():
    streams = list_streams(REAL_PLATE).streams
    assert [entry.stream for entry in streams] == [f"well{i:03d}" for i in range(6)]
    assert {(entry.n_channels, entry.sampling_rate_hz) for entry in streams} == {(16, 10000.0)}
    with pytest.raises(HDF5PluginMissingError):
        open_recording(REAL_PLATE, "well003").get_traces()


def test_a_gap_is_told_with_its_place_and_length(tmp_path):
    path = make_recording(tmp_path, "maxwell").path
    with h5py.File(path, "r+") as file:
        numbers = file["data_store/data0000/groups/routed/frame_nos"]
        numbers[5000:] = numbers[5000:] + 37
        numbers[9000:] = numbers[9000:] + 3
    recording = open_recording(path)
    assert recording.get_annotation("frame_gaps") == [[5000, 37], [9000, 3]]
    assert recording.get_annotation("dropped_frames") == 40


def test_frame_numbers_that_are_set_back_part_takes(tmp_path):
    path = make_recording(tmp_path, "maxwell").path
    whole = open_recording(path).get_traces()
    with h5py.File(path, "r+") as file:
        numbers = file["data_store/data0000/groups/routed/frame_nos"]
        numbers[5000:] = numbers[5000:] - 7000
        numbers[6000:] = numbers[6000:] + 12
    names = ["well000/take0", "well000/take1"]
    assert [entry.stream for entry in list_streams(path).streams] == names
    first, second = (open_recording(path, name) for name in names)
    assert np.array_equal(first.get_traces(), whole[:5000])
    assert np.array_equal(second.get_traces(), whole[5000:])
    assert second.get_annotation("frame_gaps") == [[1000, 12]]
    assert second.get_annotation("take")["number"] == 1


def test_fewer_samples_than_numbered_frames_are_truncated(tmp_path):
    path = make_recording(tmp_path, "maxwell").path
    with h5py.File(path, "r+") as file:
        routed = file["data_store/data0000/groups/routed"]
        kept = routed["raw"][:, :-500]
        del routed["raw"]
        routed["raw"] = kept
    with pytest.raises(InputCorruptError) as caught:
        list_streams(path)
    assert caught.value.reason == "truncated"


def test_plugin_folders_are_listed_as_in_path(tmp_path):
    folders = [tmp_path / "none", tmp_path / "vendor", tmp_path / "local"]
    add_plugin_path(os.pathsep.join(str(folder) for folder in folders))
    searched = [h5py.h5pl.get(index).decode() for index in range(h5py.h5pl.size())]
    assert searched[:3] == [str(folder) for folder in folders]
    for _ in folders:
        h5py.h5pl.remove(0)


def test_two_channels_on_one_electrode_are_refused(tmp_path):
    path = make_recording(tmp_path, "maxwell").path

    def stack(mapping):
        mapping["x"][1], mapping["y"][1] = mapping["x"][0], mapping["y"][0]
        return mapping

    with pytest.raises(InputCorruptError) as caught:
        open_recording(with_mapping(path, stack))
    assert caught.value.reason == "duplicate_positions"
