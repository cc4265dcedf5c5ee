"""What measuring a recording costs, for an hour of 384 channels, and how much memory it takes.

The slowest case is a recording without spikes, since that is looked at longest before anybody
believes it. The samples are a file of 20 s, read over and over as an hour, from the page cache; a
disk or an HDF5 codec slower than that adds its own time. Each side runs in a process of its own,
with one thread. Memory is what the process holds beyond the file's pages, at one and at eight times
the length.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording, BaseRecordingSegment

from spikefleet.signal.measuring.measure import measure_signal, signal_failure

N_CHANNELS, RATE_HZ, FILE_S = 384, 30_000.0, 20.0
HOUR_S = 3600.0
MOST_CPU_S = 120.0
MOST_GROWTH = 1.15


class _Looped(BaseRecording):
    """One file, repeated to the length asked for."""

    def __init__(self, path: Path, duration_s: float) -> None:
        super().__init__(RATE_HZ, [str(index) for index in range(N_CHANNELS)], "int16")
        self.add_recording_segment(_LoopedSegment(path, duration_s))
        self.set_channel_gains(2.34375)
        self.set_channel_offsets(0.0)


class _LoopedSegment(BaseRecordingSegment):
    def __init__(self, path: Path, duration_s: float) -> None:
        super().__init__(sampling_frequency=RATE_HZ)
        self._samples = np.memmap(path, dtype="<i2", mode="r").reshape(-1, N_CHANNELS)
        self._n_samples = round(duration_s * RATE_HZ)

    def get_num_samples(self) -> int:
        return self._n_samples

    def get_traces(self, start_frame: int, end_frame: int, channel_indices: Any) -> NDArray[Any]:
        first = start_frame % (len(self._samples) - (end_frame - start_frame))
        samples = self._samples[first : first + end_frame - start_frame]
        # Other channels each time, so that one rare sample of noise does not become a rhythm.
        shift = start_frame // 7 % N_CHANNELS
        return np.concatenate((samples[:, shift:], samples[:, :shift]), axis=1)


def _write_source(path: Path, with_spikes: bool) -> None:
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for _ in range(round(FILE_S)):
            samples = rng.standard_normal((30_000, N_CHANNELS), dtype=np.float32) * 3.0
            if with_spikes:
                at, channel = rng.integers(0, 29_990, 600), rng.integers(0, N_CHANNELS, 600)
                for after, share in enumerate((0.3, 0.7, 1.0, 0.7, 0.3)):
                    samples[at + after, channel] -= 40.0 * share
            file.write(np.rint(samples).astype("<i2").tobytes())


class _PeakMemory:
    """The most memory of its own that this process held, read every few milliseconds."""

    def __init__(self) -> None:
        self.start_mb = self.peak_mb = self._own_mb()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        self._done.set()
        self._thread.join()
        return self.peak_mb - self.start_mb

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.peak_mb = max(self.peak_mb, self._own_mb())

    @staticmethod
    def _own_mb() -> float:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 1024
        return 0.0


def _side(path: Path, duration_s: float) -> dict[str, Any]:
    recording = _Looped(path, duration_s)
    memory, cpu, wall = _PeakMemory(), time.process_time(), time.monotonic()
    measured = measure_signal(recording)
    cpu_s, wall_s = time.process_time() - cpu, time.monotonic() - wall
    failure = signal_failure(measured)
    looked_at = sum(entry.seconds for entry in measured.activity_over_time)
    return {
        "cpu_s": round(cpu_s, 1),
        "wall_s": round(wall_s, 1),
        "verdict": str(failure.code) if failure else "sortable",
        "seconds_looked_at": round(looked_at, 1),
        "million_samples_per_cpu_s": round(looked_at * RATE_HZ * N_CHANNELS / cpu_s / 1e6, 1),
        "peak_memory_mb": round(memory.stop(), 1),
    }


def _run(path: Path, duration_s: float) -> dict[str, Any]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    done = subprocess.run(
        [sys.executable, "-m", "bench.preflight", str(path), str(duration_s)],
        capture_output=True,
        text=True,
        env={**os.environ, **dict.fromkeys(names, "1")},
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def measure() -> tuple[dict[str, Any], bool]:
    """Return CPU and memory per case, and whether both bounds are held."""
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="spikefleet-bench-") as name:
        for case, with_spikes in (("noise", False), ("active", True)):
            path = Path(name) / case
            _write_source(path, with_spikes)
            rows[f"{case}, 450 s"] = _run(path, HOUR_S / 8)
            rows[f"{case}, 1 h"] = _run(path, HOUR_S)
            path.unlink()
    growth = {
        case: rows[f"{case}, 1 h"]["peak_memory_mb"] / rows[f"{case}, 450 s"]["peak_memory_mb"]
        for case in ("noise", "active")
    }
    right = rows["noise, 1 h"]["verdict"] == "insufficient_activity"
    right &= rows["active, 1 h"]["verdict"] == "sortable"
    held = right and all(row["cpu_s"] <= MOST_CPU_S for row in rows.values())
    held &= all(value <= MOST_GROWTH for value in growth.values())
    return {
        "n_channels": N_CHANNELS,
        "cases": rows,
        "memory_at_8_times_the_length": {k: round(v, 2) for k, v in growth.items()},
    }, held


if __name__ == "__main__":
    print(json.dumps(_side(Path(sys.argv[1]), float(sys.argv[2]))))
