"""An archive appears whole or not at all, and holds every byte of its source."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from blake3 import blake3
from spikeinterface.core import read_zarr
from tests.support.archives import archive_folder, archive_source, neural_like, save_folder
from tests.support.formats.raw_binary import smooth_samples, write_raw_binary

from spikefleet.core.failures.errors import InputCorruptError, InvalidConfigurationError
from spikefleet.signal.archive.manifest import NAME, read_manifest
from spikefleet.signal.archive.verify import verify_archive
from spikefleet.signal.archive.write import write_archive
from spikefleet.signal.open import list_streams, open_recording
from spikefleet.signal.simulation import SimulationRequest, simulate

REAL_PLATE = Path(__file__).parents[5] / "shared/data/recordings/maxwell/maxtwo_6wells.raw.h5"


def _simulated(path: Path, file_format: str) -> Path:
    request = SimulationRequest(
        format=file_format, path=path, n_channels=6, duration_s=1.3, n_units=1
    )
    return simulate(request).path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "float32"])
def test_a_folder_comes_back_bit_for_bit_with_all_that_describes_it(tmp_path, dtype):
    traces = (neural_like(2_345, 5) + 1_000).astype(dtype)
    source = open_recording(save_folder(traces, tmp_path / "rec"))
    manifest = archive_folder(tmp_path / "rec", tmp_path / "out")
    opened = open_recording(tmp_path / "out")
    assert opened.get_traces().tobytes(order="C") == traces.tobytes()
    assert opened.sampling_frequency == source.sampling_frequency
    assert list(opened.channel_ids) == list(source.channel_ids)
    for name in ("get_channel_gains", "get_channel_offsets", "get_channel_locations"):
        assert np.array_equal(getattr(opened, name)(), getattr(source, name)())
    assert (
        manifest.streams[0].traces.samples_digest
        == f"blake3:{blake3(traces.tobytes()).hexdigest()}"
    )
    raw = next(file for file in manifest.sources if file.path.endswith(".raw"))
    assert raw.sha256 == hashlib.sha256(traces).hexdigest()
    assert verify_archive(tmp_path / "out").whole


def test_any_zarr_reader_understands_the_streams(tmp_path):
    traces = neural_like(2_345, 5)
    archive_folder(save_folder(traces, tmp_path / "rec"), tmp_path / "out")
    assert np.array_equal(read_zarr(tmp_path / "out/streams/0").get_traces(), traces)


def test_a_probes_synchronisation_column_and_header_are_kept_too(tmp_path):
    path = _simulated(tmp_path / "run", "spikeglx")
    manifest = archive_folder(path, tmp_path / "out")
    (stream,) = manifest.streams
    assert stream.leftover is not None
    assert stream.leftover.n_channels == 1
    sums = {file.path: file.sha256 for file in manifest.sources}
    assert sums == {file.name: _sha256(file) for file in path.iterdir() if file.is_file()}
    meta = next(path.glob("*.meta"))
    assert (tmp_path / "out/files" / meta.name).read_bytes() == meta.read_bytes()
    assert not list((tmp_path / "out").rglob("*.bin"))
    source, opened = open_recording(path), open_recording(tmp_path / "out")
    assert np.array_equal(source.get_traces(), opened.get_traces())
    assert np.array_equal(
        source.get_property("inter_sample_shift"), opened.get_property("inter_sample_shift")
    )


def test_a_raw_file_with_its_sidecar_is_encoded_and_the_sidecar_kept(tmp_path):
    samples = smooth_samples(3_000, 4)
    path = write_raw_binary(tmp_path / "take.bin", samples)
    manifest = archive_folder(path, tmp_path / "out")
    assert {file.path for file in manifest.sources} == {"take.bin", "take.json"}
    assert not manifest.kept
    assert (tmp_path / "out/files/take.json").is_file()
    assert np.array_equal(open_recording(tmp_path / "out").get_traces(), samples)


@pytest.mark.parametrize("file_format", ["maxwell", "nwb"])
def test_a_container_is_kept_byte_for_byte_and_opens_as_before(tmp_path, file_format):
    path = _simulated(tmp_path / "rec", file_format)
    manifest = archive_folder(path, tmp_path / "out")
    assert manifest.kept
    assert (tmp_path / "out/files" / path.name).read_bytes() == path.read_bytes()
    assert list_streams(tmp_path / "out") == list_streams(path)
    assert np.array_equal(
        open_recording(tmp_path / "out").get_traces(), open_recording(path).get_traces()
    )


@pytest.mark.skipif(not REAL_PLATE.is_file(), reason="the real MaxTwo plate is not on this machine")
def test_a_plate_in_the_vendors_compression_is_not_inflated(tmp_path):
    manifest = archive_folder(REAL_PLATE, tmp_path / "out")
    assert manifest.kept
    assert manifest.stored_bytes == REAL_PLATE.stat().st_size
    assert len(list_streams(tmp_path / "out").streams) == len(list_streams(REAL_PLATE).streams)


def test_odd_names_empty_files_and_empty_folders_survive(tmp_path):
    path = save_folder(neural_like(300, 2), tmp_path / "rec")
    (path / "notes über rat 7.txt").write_text("slept well")
    (path / "empty.log").touch()
    (path / "later").mkdir()
    archive_folder(path, tmp_path / "out")
    kept = tmp_path / "out/files"
    assert (kept / "notes über rat 7.txt").read_text() == "slept well"
    assert (kept / "empty.log").stat().st_size == 0
    assert (kept / "later").is_dir()
    assert verify_archive(tmp_path / "out").whole


def test_an_existing_folder_is_never_written_into(tmp_path):
    path = save_folder(neural_like(300, 2), tmp_path / "rec")
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match="already there"):
        archive_folder(path, tmp_path / "out")
    with pytest.raises(InvalidConfigurationError, match="inside the recording"):
        archive_folder(path, path / "archive")


def test_a_source_that_changes_meanwhile_leaves_nothing_behind(tmp_path):
    path = save_folder(neural_like(3_000, 2), tmp_path / "rec")

    def touch(fraction: float) -> None:
        (path / "late.txt").write_text("the rig is still writing")

    with pytest.raises(InputCorruptError) as caught:
        write_archive(archive_source(path), tmp_path / "out", touch)
    assert caught.value.evidence["reason"] == "changed"
    assert [entry.name for entry in tmp_path.iterdir()] == ["rec"]


def test_a_read_that_fails_half_way_leaves_nothing_behind(tmp_path):
    path = save_folder(neural_like(3_000, 2), tmp_path / "rec")
    source = archive_source(path)
    calls: list[str] = []

    def vanish(stream: str):
        calls.append(stream)
        if len(calls) == 2:
            next(path.glob("*.raw")).unlink()
        return source.open_stream(stream)

    with pytest.raises((OSError, InputCorruptError)):
        write_archive(replace(source, open_stream=vanish), tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["rec"]


def test_progress_rises_to_the_end_and_the_manifest_is_there_then(tmp_path):
    path = save_folder(neural_like(3_000, 2), tmp_path / "rec")
    heard: list[float] = []
    write_archive(archive_source(path), tmp_path / "out", heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 1.0
    assert (tmp_path / "out" / NAME).is_file()
    assert read_manifest(tmp_path / "out").ratio > 1


def test_times_of_a_recording_that_started_late_are_kept(tmp_path):
    path = save_folder(neural_like(500, 2), tmp_path / "rec")
    recording = open_recording(path)
    recording.set_times(np.arange(500) / 1000.0 + 42.0)
    source = replace(archive_source(path), open_stream=lambda stream: recording)
    write_archive(source, tmp_path / "out")
    assert np.allclose(open_recording(tmp_path / "out").get_times(), recording.get_times())


def test_a_plain_hdf5_is_not_mistaken_for_an_archive(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["data"] = np.arange(3)
    with pytest.raises(InputCorruptError, match="none of the formats"):
        list_streams(tmp_path / "x.h5")
