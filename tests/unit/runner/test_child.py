"""The runner's child as its parent sees it: a process, a folder, an exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from spikeinterface.core import load, load_sorting_analyzer
from tests.support.recordings import make_recording

from spikefleet.core.attempts import AttemptSpec, InputFile, RunFolder
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.files import read_json, write_json
from spikefleet.runner.load import paying_workers
from spikefleet.signal.simulation import load_truth
from spikefleet.signal.units.accuracy import compare_to_truth

COMMAND = [sys.executable, "-m", "spikefleet.runner.child"]
BACKEND = "mountainsort5"


def make_attempt(
    root: Path, *, condition: str = "healthy", backend: str = BACKEND, **overrides: Any
) -> RunFolder:
    """Stage a simulated recording and write the spec, as launcher and parent would."""
    folder = RunFolder(root)
    recording = make_recording(
        folder.inputs, seconds=10.0, channels=8, units=3, condition=condition
    ).path
    config = SortingConfig().override(sorter=backend, n_jobs=1, **overrides)
    spec = AttemptSpec(
        run_id="r1",
        attempt_id="r1-sort-1",
        name="child",
        number=1,
        backend=backend,
        recording=recording.name,
        stream="",
        inputs=(InputFile(recording.name, str(recording), 0),),
        config=config.to_document(),
        artifacts_url="file:///nowhere",
        artifacts_prefix="runs/r1/attempts/sort-1",
    )
    write_json(folder.spec, spec.to_json())
    return folder


def run_child(folder: RunFolder) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, str(folder.root)], capture_output=True, text=True, check=False, timeout=200
    )


@pytest.fixture(scope="module")
def sorted_attempt(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[RunFolder, subprocess.CompletedProcess[str]]:
    folder = make_attempt(tmp_path_factory.mktemp("attempt"))
    return folder, run_child(folder)


def test_a_sort_ends_with_exit_code_zero_and_says_its_steps(
    sorted_attempt: tuple[RunFolder, subprocess.CompletedProcess[str]],
) -> None:
    folder, ended = sorted_attempt
    assert ended.returncode == 0, ended.stderr
    steps = [line for line in ended.stdout.splitlines() if line.startswith("[spikefleet] step")]
    assert steps == [f"[spikefleet] step={step}" for step in ("load", "sort", "analyze")]
    assert not folder.child_failure.exists()


def test_the_result_counts_what_the_sorting_holds(
    sorted_attempt: tuple[RunFolder, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = sorted_attempt
    result = read_json(folder.child_result)
    assert result is not None
    sorting = load(folder.result / "sorting")
    assert result["n_units"] == len(sorting.unit_ids) >= 2
    assert result["n_spikes"] == sum(sorting.count_num_spikes_per_unit().values())
    assert (result["n_channels"], result["sampling_rate_hz"]) == (8, 30000.0)
    assert result["duration_s"] == pytest.approx(10.0)
    assert result["sorter_params"]["whitening_seed"] == 1
    assert result["timings_s"].keys() == result["cpu_s"].keys() == {"load", "sort", "analyze"}
    assert {"python", "spikefleet", "spikeinterface", "mountainsort5"} <= result["versions"].keys()


def test_the_sorting_holds_the_known_spikes(
    sorted_attempt: tuple[RunFolder, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = sorted_attempt
    truth = load_truth(next(folder.inputs.glob("*.truth.npz")))
    sorting = load(folder.result / "sorting")
    found = {unit: sorting.get_unit_spike_train(unit) for unit in sorting.unit_ids}
    report = compare_to_truth(found, truth.spike_samples, truth.sampling_rate_hz)
    assert report.mean_accuracy >= 0.8


def test_the_analyzer_outlives_the_run_folder(
    sorted_attempt: tuple[RunFolder, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    folder, _ = sorted_attempt
    moved = tmp_path / "analyzer"
    subprocess.run(["cp", "-r", str(folder.result / "analyzer"), str(moved)], check=True)
    analyzer = load_sorting_analyzer(moved)
    templates = analyzer.get_extension("templates").get_templates()
    assert np.isfinite(templates).all()
    assert templates.min() < -30  # µV


def test_a_silent_recording_ends_as_insufficient_activity(tmp_path: Path) -> None:
    folder = make_attempt(tmp_path, condition="silent")
    assert run_child(folder).returncode == 80
    failure = read_json(folder.child_failure)
    assert failure is not None
    assert failure["classified"]["code"] == "insufficient_activity"
    assert failure["step"] in ("load", "sort")
    assert not folder.child_result.exists()


def test_a_foreign_exception_is_written_down_with_its_innermost_frame_last(
    tmp_path: Path,
) -> None:
    folder = make_attempt(tmp_path, sorter_params={"scheme": "9"})
    assert run_child(folder).returncode == 1
    failure = read_json(folder.child_failure)
    assert failure is not None
    assert (failure["exception_type"], failure["module"]) == ("ValueError", "builtins")
    assert failure["message"].startswith("Invalid scheme: 9")
    assert failure["step"] == "sort"
    assert failure["classified"] is None
    assert failure["frames"][-1]["file"].endswith("sorters/external/mountainsort5.py")
    assert failure["trace_tail"][-1].startswith("ValueError: Invalid scheme")


def test_a_recording_that_was_not_staged_is_a_missing_input(tmp_path: Path) -> None:
    folder = make_attempt(tmp_path)
    folder.inputs.rename(tmp_path / "elsewhere")
    assert run_child(folder).returncode == 85
    failure = read_json(folder.child_failure)
    assert failure is not None
    assert failure["classified"]["code"] == "input_missing"


def test_an_unknown_parameter_is_an_invalid_configuration(tmp_path: Path) -> None:
    folder = make_attempt(tmp_path, sorter_params={"detect_treshold": 5})
    assert run_child(folder).returncode == 97


@pytest.mark.parametrize(
    ("allowed", "duration_s", "workers"), [(8, 20.0, 1), (8, 70.0, 2), (2, 3600.0, 2), (1, 9e4, 1)]
)
def test_a_worker_is_taken_only_where_the_recording_pays_for_it(
    allowed: int, duration_s: float, workers: int
) -> None:
    assert paying_workers(allowed, duration_s) == workers


def test_a_child_whose_parent_is_gone_does_not_start(tmp_path: Path) -> None:
    folder = make_attempt(tmp_path)
    write_json(folder.started, {"pid": 1})
    assert run_child(folder).returncode == 113
    assert not folder.result.exists()


def test_dies_with_its_parent(tmp_path: Path) -> None:
    folder = make_attempt(tmp_path)
    code = (
        "import subprocess, sys, time;"
        "child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, start_new_session=True);"
        "child.stdout.readline(); print(child.pid, flush=True); time.sleep(120)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, *COMMAND, str(folder.root)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(10)
    deadline = time.monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.05)
