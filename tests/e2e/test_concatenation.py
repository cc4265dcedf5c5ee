"""Several recordings, or several windows of one, sorted as one: times come back as recorded."""

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from spikeinterface.core import load
from tests.e2e.conftest import SORTER
from tests.support.recordings import make_recording

from spikefleet.core.runs import RunState
from spikefleet.signal.preparing.timeline import Timeline
from spikefleet.signal.simulation import SimulationRequest, load_truth, simulate
from spikefleet.signal.units.accuracy import compare_to_truth

pytestmark = pytest.mark.slow
LEAST_ACCURACY = 0.9


def trains_in(path: Path) -> dict[str, np.ndarray]:
    """Unit id to spike frames of a ``curated.npz``."""
    with np.load(path) as curated:
        spikes = curated["spike_trains"]
        return {
            str(row["unit_id"]): spikes[row["spikes_start"] : row["spikes_stop"]]
            for row in curated["units"]
        }


def cut_in_three(tmp_path: Path, seconds: tuple[float, float, float]):
    """One simulated recording of known spikes, cut into three that follow each other."""
    whole = simulate(
        SimulationRequest("binary", tmp_path / "whole", 16, sum(seconds), n_units=4, seed=11)
    )
    recording = load(whole.path)
    rate_hz = recording.get_sampling_frequency()
    bounds = [0, *np.cumsum([round(s * rate_hz) for s in seconds])]
    paths = []
    for index, (start, end) in enumerate(itertools.pairwise(bounds)):
        folder = tmp_path / "night" / f"take{index + 9}"  # take9, take10, take11
        take = recording.frame_slice(int(start), int(end))
        take.annotate(n_samples=int(end - start))
        take.save(folder=folder, verbose=False, progress_bar=False)
        paths.append(folder)
    return load_truth(whole.truth_path), bounds, paths


def test_the_true_spikes_of_three_files_come_back_per_file_at_their_times(shared_service, tmp_path):
    truth, bounds, paths = cut_in_three(tmp_path, (12.0, 20.0, 8.0))
    with shared_service.client() as client:
        batch = client.submit_concatenated(paths, SORTER)
        (run,) = client.wait(batch.run_ids, timeout_s=300)
        assert run.state is RunState.SUCCEEDED, run.failure
        client.fetch(run.run_id, tmp_path / "results")
        again = client.submit_concatenated(paths, SORTER)
        turned = client.submit_concatenated(paths[::-1], SORTER)
        by_folder = client.submit_concatenated(tmp_path / "night", SORTER, in_place=False)
        for other in (*turned.run_ids, *by_folder.run_ids):
            client.cancel(other, "only its identity was wanted")
    assert again.existing_run_ids == (run.run_id,) == again.run_ids
    assert turned.run_ids != batch.run_ids
    assert len(by_folder.run_ids) == 1

    curate = tmp_path / "results" / "curate"
    whole = compare_to_truth(
        trains_in(curate / "curated.npz"), truth.spike_samples, truth.sampling_rate_hz
    )
    assert whole.mean_accuracy >= LEAST_ACCURACY
    for path, start, end in zip(paths, bounds, bounds[1:], strict=False):
        exported = curate / "exports" / path.name
        with np.load(exported / "curated.npz") as curated:
            assert int(curated["n_samples"]) == int(curated["n_kept"]) == end - start
        true = {
            unit: samples[(samples >= start) & (samples < end)] - start
            for unit, samples in truth.spike_samples.items()
        }
        found = trains_in(exported / "curated.npz")
        assert max(map(np.max, filter(np.size, found.values()))) < end - start
        here = compare_to_truth(found, true, truth.sampling_rate_hz)
        assert here.mean_accuracy >= LEAST_ACCURACY, (path.name, here)
        with (exported / "units.csv").open() as table:
            counts = {row["unit_id"]: int(row["spike_count"]) for row in csv.DictReader(table)}
        assert {unit: len(train) for unit, train in found.items()}.items() <= counts.items()
    with (curate / "epochs.csv").open() as table:
        by_epoch = list(csv.DictReader(table))
    with (curate / "units.csv").open() as table:
        units = list(csv.DictReader(table))
    assert [row["name"] for row in by_epoch[:3]] == [path.name for path in paths]
    for unit in units:
        own = [row for row in by_epoch if row["unit_id"] == unit["unit_id"]]
        assert sum(int(row["spike_count"]) for row in own) == int(unit["spike_count"])
        assert all(float(row["snr"]) == pytest.approx(float(unit["snr"]), rel=0.2) for row in own)
        assert unit["trough_half_width"]
        assert unit["si_snr"]
    record = json.loads((tmp_path / "results" / "report" / "recording_report.json").read_text())
    assert [file["name"] for file in record["timeline"]["files"]] == ["take9", "take10", "take11"]


def test_spikes_of_two_windows_come_back_at_their_original_times(shared_service, tmp_path):
    made = make_recording(tmp_path, seconds=60.0, channels=16, units=4, seed=11)
    windows = [[5.0, 20.0], [40.0, 58.0]]
    with shared_service.client() as client:
        batch = client.submit(made.path, SORTER, rec_chunks_s=windows)
        (run,) = client.wait(batch.run_ids, timeout_s=300)
        assert run.state is RunState.SUCCEEDED, run.failure
        client.fetch(run.run_id, tmp_path / "results")
    truth = load_truth(made.truth_path)
    frames = [[round(t * truth.sampling_rate_hz) for t in window] for window in windows]
    true = {
        unit: np.concatenate([s[(s >= first) & (s < last)] for first, last in frames])
        for unit, s in truth.spike_samples.items()
    }
    curate = tmp_path / "results" / "curate"
    found = trains_in(curate / "curated.npz")
    report = compare_to_truth(found, true, truth.sampling_rate_hz)
    assert report.mean_accuracy >= LEAST_ACCURACY
    timeline = Timeline.from_json(json.loads((curate / "timeline.json").read_text()))
    assert [list(window) for window in timeline.kept] == frames
    for train in found.values():
        assert all(any(a <= spike < b for a, b in frames) for spike in train)
    assert not (curate / "exports").exists()
    page = (tmp_path / "results" / "report" / "report.md").read_text()
    assert "5 to 20 s" in page
    assert "40 to 58 s" in page
