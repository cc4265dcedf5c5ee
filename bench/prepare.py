"""What preparing a recording costs, next to SpikeInterface's own band-pass and save.

Both read one flat int16 file of noise and spikes, filter it from 300 to 6000 Hz and write int16
again, in blocks of the same length, one thread each and in processes of their own, turn by turn.
The clock is the CPU's and runs from the open recording to the finished copy; what the first use of
the compiled filter costs is told apart. The two copies are compared sample by sample.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from spikeinterface import preprocessing
from spikeinterface.core import BinaryRecordingExtractor

from spikefleet.core.config.recording import RecordingConfig
from spikefleet.signal.filtering.band_pass import design_band_pass
from spikefleet.signal.preparing.prepare import PrepareOptions, prepare_recording

N_CHANNELS, RATE_HZ, DURATION_S = 384, 30000.0, 20.0
# As preparation cuts them, so that both sides filter the same blocks with the same margins.
BLOCK_FRAMES = (24 << 20) // (4 * N_CHANNELS)
LEAST_TIMES_CHEAPER = 3.0
MOST_CODES_APART, MOST_SHARE_APART = 1, 1e-3


def _write_source(path: Path) -> int:
    """Write noise of 27 counts with steep dips on a slow baseline; return its bytes."""
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for start in range(0, round(RATE_HZ * DURATION_S), 30000):
            samples = rng.normal(scale=27.0, size=(30000, N_CHANNELS)).astype(np.float32)
            samples[rng.integers(0, 30000, 2000), rng.integers(0, N_CHANNELS, 2000)] -= 200.0
            samples += 300.0 * np.sin((start + np.arange(30000)) / 9000.0)[:, np.newaxis]
            file.write(np.rint(samples).astype("<i2").tobytes())
    return path.stat().st_size


def _open(source: Path) -> BinaryRecordingExtractor:
    recording = BinaryRecordingExtractor(
        [source], sampling_frequency=RATE_HZ, dtype="int16", num_channels=N_CHANNELS
    )
    recording.set_channel_gains(2.34375)
    recording.set_channel_offsets(0.0)
    return recording


def _side(name: str, source: Path, out: Path) -> dict[str, float]:
    """Run one side in this process; return its CPU and wall seconds."""
    recording = _open(source)
    warm_up = time.process_time()
    if name == "compiled":
        band_pass = design_band_pass(RecordingConfig(), RATE_HZ)
        assert band_pass is not None
        band_pass.apply(np.zeros((100, 1), dtype=np.int16), "compiled")
    cpu, wall = time.process_time(), time.monotonic()
    if name == "spikeinterface":
        filtered = preprocessing.bandpass_filter(recording, freq_min=300.0, freq_max=6000.0)
        filtered.save(folder=out, n_jobs=1, chunk_size=BLOCK_FRAMES, progress_bar=False)
    else:
        options = PrepareOptions(implementation="compiled" if name == "compiled" else "scipy")
        prepare_recording(recording, RecordingConfig(), out, options)
    return {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.monotonic() - wall,
        "first_use_cpu_s": cpu - warm_up,
    }


def _run(name: str, source: Path, out: Path) -> dict[str, float]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    done = subprocess.run(
        [sys.executable, "-m", "bench.prepare", name, str(source), str(out)],
        capture_output=True,
        text=True,
        env={**os.environ, **dict.fromkeys(names, "1")},
    )
    if done.returncode != 0:
        raise RuntimeError(f"{name} ended {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _compare(mine: Path, theirs: Path) -> tuple[int, float]:
    """Return (the most codes apart, the share of samples that differ at all)."""
    left, right = (
        np.memmap(next(folder.rglob("traces_cached_seg0.raw")), dtype="<i2", mode="r")
        for folder in (mine, theirs)
    )
    if left.size != right.size:
        raise RuntimeError(f"{left.size} samples against {right.size}")
    most, differing = 0, 0
    for start in range(0, left.size, 8 << 20):
        apart = np.abs(
            left[start : start + (8 << 20)].astype(np.int32) - right[start : start + (8 << 20)]
        )
        most, differing = max(most, int(apart.max())), differing + int(np.count_nonzero(apart))
    return most, differing / left.size


def measure(repeats: int = 3) -> dict[str, object]:
    """Return per side MB/s of a core and CPU seconds per GB, and how far the copies differ."""
    sides = ("compiled", "scipy", "spikeinterface")
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory(prefix="spikefleet-bench-") as name:
        folder = Path(name)
        size_bytes = _write_source(folder / "source.raw")
        for _ in range(repeats):
            for side in sides:
                shutil.rmtree(folder / side, ignore_errors=True)
                runs[side].append(_run(side, folder / "source.raw", folder / side))
        apart = {
            side: _compare(folder / side, folder / "spikeinterface")
            for side in ("compiled", "scipy")
        }
    cpu_s = {side: statistics.median(run["cpu_s"] for run in runs[side]) for side in sides}
    rows = {
        side: {
            "mb_per_s_of_a_core": round(size_bytes / 1e6 / cpu_s[side], 1),
            "cpu_s_per_gb": round(cpu_s[side] / (size_bytes / 1e9), 2),
            "all_cpu_s": [round(run["cpu_s"], 2) for run in runs[side]],
            "all_wall_s": [round(run["wall_s"], 2) for run in runs[side]],
        }
        for side in sides
    }
    times_cheaper = cpu_s["spikeinterface"] / cpu_s["compiled"]
    most, share = (max(values) for values in zip(*apart.values(), strict=True))
    return {
        "source_mb": round(size_bytes / 1e6, 1),
        "n_channels": N_CHANNELS,
        "sides": rows,
        "first_use_cpu_s": [round(run["first_use_cpu_s"], 2) for run in runs["compiled"]],
        "times_cheaper_than_spikeinterface": round(times_cheaper, 2),
        "most_codes_apart": most,
        "share_of_samples_apart": share,
        "within": times_cheaper >= LEAST_TIMES_CHEAPER
        and most <= MOST_CODES_APART
        and share <= MOST_SHARE_APART,
    }


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(json.dumps(_side(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
    else:
        print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 3), indent=1))
