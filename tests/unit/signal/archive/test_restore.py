"""What was archived comes back file by file, byte by byte, or not at all."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from tests.support.archives import archive_folder, neural_like, save_folder
from tests.support.formats.mcs import write_mcs
from tests.support.formats.nwb_zarr import write_nwb
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.archive.restore import restore_archive
from spikefleet.signal.open import list_streams, open_recording


def _tree(path):
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    root = path.parent if path.is_file() else path
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


def _made(folder, kind):
    if kind == "mcs":  # channel after channel
        return write_mcs(folder / "a.h5", np.ascontiguousarray(neural_like(2500, 6).T))
    if kind == "nwb":  # frame after frame
        return write_nwb(folder / "a.nwb", neural_like(2500, 4), second=neural_like(1500, 4, 7))
    if kind == "folder":
        path = save_folder(neural_like(2500, 5), folder / "rec")
        (path / "later").mkdir()
        return path
    return make_recording(folder, kind).path


@pytest.mark.parametrize("kind", ["folder", "spikeglx", "mcs", "nwb", "maxwell"])
def test_every_file_comes_back_as_it_was(tmp_path, kind):
    path = _made(tmp_path, kind)
    archive_folder(path, tmp_path / "out")
    heard = []
    restore_archive(tmp_path / "out", tmp_path / "back", heard.append)
    assert _tree(tmp_path / "back") == _tree(path)
    assert heard[-1] == pytest.approx(1.0)
    if kind == "folder":
        assert (tmp_path / "back/later").is_dir()


@pytest.mark.parametrize("kind", ["mcs", "nwb"])
def test_an_uncompressed_container_is_encoded_and_reads_as_before(tmp_path, kind):
    path = _made(tmp_path, kind)
    manifest = archive_folder(path, tmp_path / "out")
    assert not manifest.kept
    (container,) = manifest.containers
    assert sum(size for _, size in container.holes) >= 2500 * 4 * 2
    source = {entry.stream: entry for entry in list_streams(path).streams}
    stored = {entry.stream: entry for entry in list_streams(tmp_path / "out").streams}
    assert stored == source
    for name in source:
        ours, theirs = open_recording(tmp_path / "out", name), open_recording(path, name)
        assert np.array_equal(ours.get_traces(), theirs.get_traces())
        assert np.array_equal(ours.get_channel_locations(), theirs.get_channel_locations())
        assert np.array_equal(ours.get_channel_offsets(), theirs.get_channel_offsets())


@pytest.mark.parametrize("how", ["gzip", "chunked"])
def test_a_container_in_pieces_or_compressed_keeps_its_own_form(tmp_path, how):
    path = _made(tmp_path, "mcs")
    with h5py.File(path, "r+") as file:
        for stream in file["Data/Recording_0/AnalogStream"].values():
            samples = stream["ChannelData"][:]
            del stream["ChannelData"]
            stream.create_dataset(
                "ChannelData",
                data=samples,
                chunks=(6, 100),
                compression="gzip" if how == "gzip" else None,
            )
    manifest = archive_folder(path, tmp_path / "out")
    assert manifest.kept
    assert (tmp_path / "out/files/a.h5").read_bytes() == path.read_bytes()


def test_columns_alike_where_they_are_probed_are_kept_when_they_differ_elsewhere(tmp_path):
    samples = np.zeros((4, 40_000), dtype="int16")
    samples[1, 5_000] = 7  # between the probed places; rows 0, 2 and 3 are silent all along
    path = write_mcs(tmp_path / "a.h5", samples)
    manifest = archive_folder(path, tmp_path / "out")
    restore_archive(tmp_path / "out", tmp_path / "back")
    assert (tmp_path / "back/a.h5").read_bytes() == path.read_bytes()
    opened = open_recording(tmp_path / "out")
    assert np.array_equal(opened.get_traces(), open_recording(path).get_traces())
    assert manifest.sources[0].size_bytes == path.stat().st_size


def test_a_damaged_chunk_leaves_nothing_behind(tmp_path):
    archive_folder(_made(tmp_path, "folder"), tmp_path / "out")
    chunk = next((tmp_path / "out/streams/0/traces_seg0").glob("1.0"))
    payload = bytearray(chunk.read_bytes())
    payload[-1] ^= 1
    chunk.write_bytes(payload)
    with pytest.raises(InputCorruptError):
        restore_archive(tmp_path / "out", tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert not list(tmp_path.glob(".back*"))


def test_an_existing_folder_is_never_written_into(tmp_path):
    archive_folder(_made(tmp_path, "folder"), tmp_path / "out")
    (tmp_path / "back").mkdir()
    with pytest.raises(FileExistsError):
        restore_archive(tmp_path / "out", tmp_path / "back")
