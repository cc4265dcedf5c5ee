"""The trial before the sort, with real sorters: what is healthy sorts, what is broken is held."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from spikeinterface.core import load
from tests.e2e.conftest import SORTER
from tests.support.recordings import make_recording
from tests.support.service import Service

from spikefleet.core.attempts import AttemptSpec, InputFile, RunFolder
from spikefleet.core.config import resolve
from spikefleet.core.files import read_json, write_json
from spikefleet.core.recording.file_sets import recording_files
from spikefleet.core.runs import RunState
from spikefleet.infra.stores.bytes.artifacts_open import open_artifacts

QUIET_S = 2.1
CHANNELS = 8


def quiet_at_first(folder: Path, seconds: float) -> Path:
    """A healthy recording whose first two seconds are noise and nothing else."""
    path = make_recording(folder, seconds=seconds, channels=CHANNELS, units=4, seed=3).path
    data = next(
        file for file in sorted(path.parent.rglob("*")) if file.suffix in (".bin", ".dat", ".raw")
    )
    codes = np.memmap(data, dtype=np.int16, mode="r+").reshape(-1, CHANNELS)
    n_quiet = int(QUIET_S * 30_000)
    spread = np.median(np.abs(codes - np.median(codes, axis=0)), axis=0) / 0.6745
    noise = np.random.default_rng(0).normal(size=(n_quiet, CHANNELS)) * spread
    codes[:n_quiet] = (np.median(codes, axis=0) + noise).astype(np.int16)
    codes.flush()
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sorter", "seconds", "trial_s"), [(SORTER, 30.0, 8.0), ("kilosort4", 60.0, 8.0)]
)
def test_a_recording_with_a_quiet_start_passes_preflight_and_trial_and_sorts(
    shared_service: Service, tmp_path: Path, sorter: str, seconds: float, trial_s: float
) -> None:
    path = quiet_at_first(tmp_path, seconds)
    asked = {"canary_first_n_s": trial_s, "canary_min_recording_s": 20.0}
    with shared_service.client() as client:
        batch = client.submit(path, sorter, **asked)
        (run,) = client.wait(batch.run_ids, timeout_s=500)
        events = client.events(run.run_id)
        report = client.report(run.run_id).report
    assert run.state is RunState.SUCCEEDED, run.failure
    (canary,) = [event.body["canary"] for event in events if "canary" in event.body]
    assert canary["state"] == "passed"
    assert canary["window_s"][0] > QUIET_S
    assert canary["n_units"] >= 1
    assert report["canary"] == canary
    assert report["attempts"][1]["timings_s"]["parent.canary"] > 0


def test_a_sorter_that_cannot_be_imported_holds_its_lane_before_the_sort(
    make_service: Callable[..., Service],
    recording: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = tmp_path / "broken" / SORTER
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('libisosplit.so.6: cannot open')\n")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    service = make_service()
    asked = {"canary_first_n_s": 5.0, "canary_min_recording_s": 10.0}
    with service.client() as client:
        run_id = client.submit(recording, SORTER, **asked).run_ids[0]
        (run,) = client.wait([run_id], timeout_s=120)
        held = client.events(run_id)[-1]
        (hold,) = client.holds()
    assert run.state is RunState.HELD
    assert run.failure is not None
    assert (run.failure.stage, str(run.failure.code)) == ("canary", "model_loading")
    assert "release the hold" in run.failure.row.next_step
    assert hold.lane == SORTER
    assert held.body["canary"]["state"] == "blocked"
    assert not [
        path for path in service.data_dir.rglob("child.log") if path.parent.name != "canary"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("sorter", [SORTER, "lupin"])
def test_the_spikes_are_the_same_with_and_without_a_trial(tmp_path: Path, sorter: str) -> None:
    path = make_recording(tmp_path, seconds=24.0, channels=CHANNELS, units=4, seed=5).path
    trains = []
    for trial_s in (0.0, 6.0):
        spec = make_order(path, sorter, tmp_path / f"trial-{trial_s:.0f}", trial_s)
        trains.append(sort(spec, tmp_path / f"trial-{trial_s:.0f}", expects_trial=trial_s > 0))
    without, with_trial = trains
    assert without.keys() == with_trial.keys()
    assert sum(len(train) for train in without.values()) > 100
    for unit, train in without.items():
        assert np.array_equal(train, with_trial[unit])


def make_order(recording: Path, sorter: str, place: Path, trial_s: float) -> AttemptSpec:
    root, files, entry = recording_files(recording)
    changes = {"canary_first_n_s": trial_s, "canary_min_recording_s": 10.0, "n_jobs": 1}
    return AttemptSpec(
        run_id="run-one",
        attempt_id="run-one/sort-1",
        name="s-one-sort-1",
        number=1,
        backend=sorter,
        recording=entry,
        stream="",
        inputs=tuple(
            InputFile(path.relative_to(root).as_posix(), str(path), path.stat().st_size, "", True)
            for path in (root / file for file in files)
        ),
        config=resolve(sorter, changes).to_document(),
        artifacts_url=(place / "artifacts").as_uri(),
        artifacts_prefix="runs/run-one/attempts/sort-1",
        duration_s=24.0,
        preflight={"stream": {"sampling_rate_hz": 30_000.0}},
    )


def sort(spec: AttemptSpec, place: Path, *, expects_trial: bool) -> dict[str, np.ndarray]:
    """Run the whole attempt in a process of its own; return the spike trains by unit."""
    folder = RunFolder(place / "attempt")
    write_json(folder.spec, spec.to_json())
    command = [sys.executable, "-m", "spikefleet.deploy.attempt", str(folder.root)]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300)
    outcome = read_json(folder.outcome) or {}
    assert done.returncode == 0, outcome
    assert (outcome["canary"].get("state") == "passed") is expects_trial
    store = open_artifacts(spec.artifacts_url)
    found = load(store.local_path(f"{spec.artifacts_prefix}/sorting"))
    return {str(unit): found.get_unit_spike_train(unit) for unit in found.unit_ids}
