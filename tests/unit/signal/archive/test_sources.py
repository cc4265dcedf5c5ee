"""Which file a stream's samples lie in is decided by its bytes."""

from __future__ import annotations

import shutil

import numpy as np
from tests.support.archives import archive_source, neural_like, save_folder

from spikefleet.core.recording.file_sets import recording_files
from spikefleet.signal.archive.sources import encodable_streams
from spikefleet.signal.simulation import SimulationRequest, simulate


def _found(path):
    return encodable_streams(archive_source(path), recording_files(path)[1])


def test_the_raw_file_of_a_folder_is_found_and_read_back(tmp_path):
    traces = neural_like(900, 3)
    found = _found(save_folder(traces, tmp_path / "rec"))
    flat = found["traces"]
    assert (flat.n_frames, flat.n_columns) == (900, 3)
    assert np.array_equal(flat.read(100, 400), traces[100:400])


def test_a_file_with_a_synchronisation_column_counts_it(tmp_path):
    request = SimulationRequest(
        format="spikeglx", path=tmp_path / "run", n_channels=4, duration_s=1.0, n_units=1
    )
    path = simulate(request).path
    (flat,) = _found(path).values()
    assert flat.n_columns == 5


def test_samples_inside_a_container_are_in_no_flat_file(tmp_path):
    request = SimulationRequest(
        format="nwb", path=tmp_path / "rec", n_channels=4, duration_s=1.0, n_units=1
    )
    assert _found(simulate(request).path) == {}


def test_two_files_that_look_the_same_leave_it_open_and_both_are_kept(tmp_path):
    path = save_folder(neural_like(900, 3), tmp_path / "rec")
    raw = next(path.glob("*.raw"))
    shutil.copy(raw, path / "copy.dat")
    assert _found(path) == {}


def test_float_samples_that_are_not_numbers_are_still_recognised(tmp_path):
    traces = np.full((50, 2), np.nan, dtype=np.float32)
    assert _found(save_folder(traces, tmp_path / "rec"))["traces"].n_columns == 2
