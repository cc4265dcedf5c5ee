"""What the Kilosort 4 adapter decides around Kilosort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from probeinterface import generate_multi_columns_probe
from spikeinterface.core import BaseRecording, NumpyRecording

from spikefleet.core.failures.errors import EnvironmentSortFailure, ParameterSensitiveError
from spikefleet.signal.sorters.adapters.kilosort4 import (
    BACKEND,
    binary_file,
    pick_device,
    probe_dictionary,
    read_results,
)
from spikefleet.signal.sorters.base import SortRequest

RATE_HZ = 30_000.0


def make_recording(traces: np.ndarray) -> BaseRecording:
    recording = NumpyRecording([traces], RATE_HZ)
    n_channels = traces.shape[1]
    probe = generate_multi_columns_probe(num_columns=1, num_contact_per_column=n_channels)
    probe.set_device_channel_indices(np.arange(n_channels))
    recording.set_probe(probe)
    recording.set_channel_gains(1.0)
    recording.set_channel_offsets(0.0)
    return recording


@pytest.mark.parametrize(("n_channels", "nblocks"), [(16, 0), (63, 0), (64, 1), (384, 1)])
def test_drift_is_corrected_only_where_there_are_channels_enough(
    n_channels: int, nblocks: int, tmp_path: Path
) -> None:
    recording = make_recording(np.zeros((100, n_channels), np.int16))
    assert BACKEND.resolve(SortRequest(recording, tmp_path))["nblocks"] == nblocks


def test_a_users_choice_of_drift_correction_stands(tmp_path: Path) -> None:
    recording = make_recording(np.zeros((100, 16), np.int16))
    request = SortRequest(recording, tmp_path, {"nblocks": 5, "do_CAR": False})
    resolved = BACKEND.resolve(request)
    assert (resolved["nblocks"], resolved["do_CAR"]) == (5, False)


def test_positions_and_shanks_reach_kilosort() -> None:
    recording = make_recording(np.zeros((100, 4), np.int16))
    recording.set_property("group", np.array([3, 3, 7, 7]))
    probe = probe_dictionary(recording)
    assert probe["kcoords"].tolist() == [0, 0, 1, 1]
    assert probe["chanMap"].tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(
        np.stack([probe["xc"], probe["yc"]], axis=1), recording.get_channel_locations()
    )


def test_a_flat_file_is_read_where_it_lies(tmp_path: Path) -> None:
    recording = make_recording(np.arange(400, dtype=np.int16).reshape(100, 4))
    saved = recording.save(folder=tmp_path / "recording")
    path, dtype = binary_file(saved, tmp_path / "copy.dat", n_jobs=1)
    assert path == tmp_path / "recording" / "traces_cached_seg0.raw"
    assert dtype == "int16"
    assert not (tmp_path / "copy.dat").exists()


def test_a_lazy_recording_is_written_once(tmp_path: Path) -> None:
    traces = np.arange(400, dtype=np.int16).reshape(100, 4)
    path, dtype = binary_file(make_recording(traces), tmp_path / "copy.dat", n_jobs=1)
    assert path == tmp_path / "copy.dat"
    np.testing.assert_array_equal(np.fromfile(path, dtype).reshape(-1, 4), traces)


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU on this machine")
def test_a_missing_gpu_is_an_environment_failure_and_no_slow_sort() -> None:
    with pytest.raises(EnvironmentSortFailure, match="torch sees none"):
        pick_device("cuda")


def test_spikes_beyond_the_recording_are_dropped(tmp_path: Path) -> None:
    np.save(tmp_path / "spike_times.npy", np.array([-3, 5, 50, 99, 100]))
    np.save(tmp_path / "spike_clusters.npy", np.array([0, 0, 1, 0, 1]))
    (tmp_path / "cluster_KSLabel.tsv").write_text("cluster_id\tKSLabel\n0\tgood\n1\tmua\n")
    (tmp_path / "cluster_ContamPct.tsv").write_text("cluster_id\tContamPct\n0\t0.0\n1\t100.0\n")
    sorting = read_results(tmp_path, make_recording(np.zeros((100, 4), np.int16)))
    assert sorting.get_unit_spike_train(0).tolist() == [5, 99]
    assert sorting.get_unit_spike_train(1).tolist() == [50]
    assert sorting.get_property("KSLabel").tolist() == ["good", "mua"]


def test_a_quiet_start_is_not_taken_for_a_quiet_recording(tmp_path: Path) -> None:
    """Kilosort learns from every 25th batch of 2 s; here the first one holds no spikes."""
    rng = np.random.default_rng(0)
    traces = rng.normal(0, 20, (int(8 * RATE_HZ), 8))
    shape = np.array([0.2, 0.6, 1.0, 0.7, 0.3, 0.0, -0.3, -0.4, -0.3, -0.2]) * -500
    for start in rng.integers(3 * RATE_HZ, 7.9 * RATE_HZ, 200):
        traces[start : start + shape.size, 3] += shape
    recording = make_recording(traces.round().astype(np.int16))
    with pytest.raises(ParameterSensitiveError) as raised:
        BACKEND.sort(SortRequest(recording, tmp_path))
    assert raised.value.threshold_crossings >= 10
    assert "TruncatedSVD" in raised.value.evidence["cause"]
    assert "TruncatedSVD" in (tmp_path / "sorter_output" / "kilosort4.log").read_text()
