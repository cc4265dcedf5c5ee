"""What the runner costs over bare Kilosort 4 on the same file, in CPU seconds, spikes compared.

Both sides read one flat int16 file, use one thread, and run as processes of their own; a case is
repeated and the medians are compared. The analyzer that the runner builds after the sort is not
part of sorting and is told apart by the child's own CPU clock.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from spikefleet.core.attempts import AttemptSpec, InputFile, RunFolder
from spikefleet.core.config import resolve
from spikefleet.core.files import read_json, write_json
from spikefleet.core.recording.file_sets import recording_files
from spikefleet.signal.open import open_recording
from spikefleet.signal.simulation import SimulationRequest, simulate
from spikefleet.signal.sorters.adapters.kilosort4 import probe_dictionary

N_CHANNELS, DURATION_S = 16, 30.0

_BARE = """
import sys
from pathlib import Path
import numpy as np
import torch
from kilosort.run_kilosort import run_kilosort
given = np.load(sys.argv[1])
run_kilosort(
    settings={"n_chan_bin": int(given["n_chan"]), "fs": float(given["fs"]), "nblocks": 0},
    probe={name: given[name] for name in ("xc", "yc", "kcoords", "chanMap")}
    | {"n_chan": int(given["n_chan"])},
    filename=Path(sys.argv[2]), results_dir=Path(sys.argv[3]), data_dtype="int16",
    device=torch.device("cpu"), do_CAR=True, save_extra_vars=False, torch_thread_lim=1,
)
"""


def _cpu_of(command: list[str]) -> float:
    """Run a command to its end; return the CPU seconds of it and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **dict.fromkeys(names, "1")}
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[1:4]} ended {done.returncode}: {done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _describe(recording: Path, given: Path) -> Path:
    """Write what Kilosort must know of the file, so that the bare side needs nothing of ours."""
    opened = open_recording(recording)
    np.savez(given, fs=opened.get_sampling_frequency(), **probe_dictionary(opened))
    return Path(opened.get_binary_description()["file_paths"][0])


def _bare(given: Path, binary: Path, out: Path) -> tuple[float, np.ndarray, np.ndarray]:
    out.mkdir(parents=True)
    seconds = _cpu_of([sys.executable, "-c", _BARE, str(given), str(binary), str(out)])
    return seconds, np.load(out / "spike_times.npy"), np.load(out / "spike_clusters.npy")


def _runner(recording: Path, work: Path) -> tuple[float, np.ndarray, np.ndarray]:
    root, files, entry = recording_files(recording)
    folder = RunFolder(work / "attempt")
    config = resolve("kilosort4", {"freq_min": None, "freq_max": None})
    spec = AttemptSpec(
        run_id="run-bench",
        attempt_id="attempt-bench",
        name="s-bench-sort-1",
        number=1,
        backend="kilosort4",
        recording=entry,
        stream="",
        inputs=tuple(
            InputFile(
                path.relative_to(root).as_posix(), str(path), path.stat().st_size, in_place=True
            )
            for path in (root / file for file in files)
        ),
        config=config.to_document(),
        artifacts_url=(work / "artifacts").as_uri(),
        artifacts_prefix="runs/run-bench/attempts/sort-1",
    )
    folder.root.mkdir(parents=True)
    write_json(folder.spec, spec.to_json())
    command = [sys.executable, "-m", "spikefleet.deploy.attempt", str(folder.root)]
    seconds = _cpu_of(command)
    child = read_json(folder.child_result) or {}
    raw = folder.sorter / "sorter_output"
    times, clusters = np.load(raw / "spike_times.npy"), np.load(raw / "spike_clusters.npy")
    return seconds - float(child["cpu_s"]["analyze"]), times, clusters


def measure(repeats: int = 3) -> dict[str, object]:
    """Return medians, the overhead and whether the spikes are equal."""
    bare, runner, equal = [], [], True
    with tempfile.TemporaryDirectory(prefix="spikefleet-bench-") as name:
        folder = Path(name)
        recording = simulate(
            SimulationRequest("binary", folder / "recording", N_CHANNELS, DURATION_S, 6, seed=1)
        ).path
        binary = _describe(recording, folder / "given.npz")
        for repeat in range(repeats):
            cost, times, clusters = _bare(folder / "given.npz", binary, folder / f"bare-{repeat}")
            own_cost, own_times, own_clusters = _runner(recording, folder / f"runner-{repeat}")
            bare.append(cost)
            runner.append(own_cost)
            equal &= np.array_equal(times, own_times) and np.array_equal(clusters, own_clusters)
    bare_s, runner_s = statistics.median(bare), statistics.median(runner)
    allowed_s = 0.03 * bare_s + 1.0
    return {
        "bare_cpu_s": round(bare_s, 2),
        "runner_cpu_s": round(runner_s, 2),
        "overhead_s": round(runner_s - bare_s, 2),
        "allowed_s": round(allowed_s, 2),
        "within": runner_s - bare_s <= allowed_s,
        "spikes_equal": equal,
        "n_spikes": int(times.size),
        "all_bare": [round(value, 2) for value in bare],
        "all_runner": [round(value, 2) for value in runner],
    }


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 3), indent=1))
