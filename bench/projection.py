"""What sorts really take, beside what preflight projects, per sorter and size.

Every case is a whole attempt (stage-in, guards, child, upload) on a simulated recording, one
thread. Memory is the attempt's process tree without mapped files, scratch what its folder holds at
most, both sampled while it runs. The projection's coefficients are fitted to these rows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from spikefleet.controller.estimates import compare_projection
from spikefleet.core.attempts import AttemptSpec, InputFile, RunFolder
from spikefleet.core.config import resolve
from spikefleet.core.files import read_json, write_json
from spikefleet.core.recording.file_sets import recording_files
from spikefleet.infra.system.folder_usage import measure_folder
from spikefleet.preflight.estimate import estimate_resources
from spikefleet.signal.simulation import SimulationRequest, simulate

SORTERS = ("kilosort4", "mountainsort5", "spykingcircus2", "tridesclous2", "lupin")
# Channels and seconds: one grows in time, one in channels.
SIZES = ((16, 20.0), (16, 80.0), (64, 40.0))
# Projected over used: memory and scratch are claims, so they must not be below; time may be.
BOUNDS = {"memory_bytes": (1.0, 3.0), "scratch_bytes": (1.0, 4.0), "duration_s": (0.5, 4.0)}


def _spec(folder: RunFolder, recording: Path, sorter: str, duration_s: float) -> AttemptSpec:
    root, files, entry = recording_files(recording)
    return AttemptSpec(
        run_id="run-bench",
        attempt_id="attempt-bench",
        name="s-bench-sort-1",
        number=1,
        backend=sorter,
        recording=entry,
        stream="",
        inputs=tuple(
            InputFile(
                path.relative_to(root).as_posix(), str(path), path.stat().st_size, in_place=True
            )
            for path in (root / file for file in files)
        ),
        config=resolve(sorter, {"n_jobs": 1}).to_document(),
        artifacts_url=(folder.root.parent / "artifacts").as_uri(),
        artifacts_prefix="runs/run-bench/attempts/sort-1",
        duration_s=duration_s,
    )


def _tree_bytes(process: psutil.Process) -> int:
    total = 0
    try:
        members = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    for member in members:
        try:
            memory = member.memory_info()
        except psutil.Error:
            continue
        total += int(memory.rss - memory.shared)
    return total


def run_case(sorter: str, channels: int, duration_s: float) -> dict[str, Any]:
    """Sort one recording and return what it took."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    with tempfile.TemporaryDirectory(prefix="spikefleet-bench-") as name:
        work = Path(name)
        recording = simulate(
            SimulationRequest(
                "binary", work / "recording", channels, duration_s, channels // 4, seed=2
            )
        ).path
        folder = RunFolder(work / "attempt")
        folder.root.mkdir()
        write_json(folder.spec, _spec(folder, recording, sorter, duration_s).to_json())
        started, peak_bytes, scratch_bytes = time.monotonic(), 0, 0
        with (work / "log").open("wb") as log:
            process = psutil.Popen(
                [sys.executable, "-m", "spikefleet.deploy.attempt", str(folder.root)],
                env={**os.environ, **dict.fromkeys(names, "1")},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            while process.poll() is None:
                peak_bytes = max(peak_bytes, _tree_bytes(process))
                scratch_bytes = max(scratch_bytes, measure_folder(folder.root).used_bytes)
                time.sleep(0.2)
        outcome = read_json(folder.outcome) or {}
        if process.returncode != 0:
            raise RuntimeError(
                f"{sorter}: {outcome.get('failure') or (work / 'log').read_text()[-900:]}"
            )
        child = read_json(folder.child_result) or {}
        return {
            "sorter": sorter,
            "channels": channels,
            "duration_s": duration_s,
            "memory_mb": round(peak_bytes / 1e6),
            "scratch_mb": round(scratch_bytes / 1e6),
            "wall_s": round(time.monotonic() - started, 1),
            "cpu_s": child.get("cpu_s"),
            "timings_s": outcome.get("timings_s"),
        }


def measure() -> tuple[dict[str, Any], bool]:
    """Sort every size with every sorter; return the rows, and whether no projection is far off."""
    rows, held = [], True
    for sorter in SORTERS:
        for channels, duration_s in SIZES:
            row = run_case(sorter, channels, duration_s)
            estimate = estimate_resources(
                channel_count=channels,
                sampling_rate_hz=30_000.0,
                kept_s=duration_s,
                on_gpu=False,
                sorter=sorter,
            )
            used = {
                "usage.memory_bytes": row["memory_mb"] * 1e6,
                "usage.scratch_bytes": row["scratch_mb"] * 1e6,
            }
            compared = compare_projection(asdict(estimate), used, row["wall_s"])
            ratios = {name: entry["ratio"] for name, entry in compared.items()}
            held &= all(low <= ratios[name] <= high for name, (low, high) in BOUNDS.items())
            rows.append({**row, "projected_over_used": ratios})
    return {"cases": rows}, held


if __name__ == "__main__":
    print(json.dumps(run_case(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
