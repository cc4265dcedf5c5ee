"""What a sort of a short recording costs from a warm process and from a cold one.

Whole attempts (parent and child, to the stored result) through the launcher, one thread, in turns,
after one of each; CPU seconds of the attempt's processes, and wall seconds until the launcher sees
the end. The spikes of both are compared. A template's own imports are told apart.
"""

from __future__ import annotations

import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from spikeinterface.core import load

from spikefleet.core.attempts import AttemptSpec, InputFile, RunFolder
from spikefleet.core.config import resolve
from spikefleet.core.recording.file_sets import recording_files
from spikefleet.infra.launchers.base import Phase, Slots
from spikefleet.infra.launchers.process import ProcessLauncher
from spikefleet.infra.launchers.warm import WarmStarts
from spikefleet.signal.simulation import SimulationRequest, simulate

BACKENDS = ("mountainsort5", "kilosort4")
N_CHANNELS, DURATION_S = 16, 10.0
LEAST_SAVED_S = 1.0
_ROUND_S = 0.05
_PATIENCE_S = 120.0


def measure(repeats: int = 3) -> tuple[dict[str, Any], bool]:
    """Return CPU and wall seconds, cold and warm, and whether a second is saved."""
    with tempfile.TemporaryDirectory(prefix="spikefleet-bench-") as name:
        folder = Path(name)
        recording = simulate(
            SimulationRequest("binary", folder / "recording", N_CHANNELS, DURATION_S, 6, seed=1)
        ).path
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "kernels")}
        (folder / "kernels").mkdir()
        with _Side(folder, recording, environment) as side:
            found = {backend: side.compare(backend, repeats) for backend in BACKENDS}
    held = all(
        found[name]["spikes_equal"]
        and found[name]["cold_cpu_s"] - found[name]["warm_cpu_s"] >= LEAST_SAVED_S
        for name in BACKENDS
    )
    return found, held


class _Side:
    """Both launchers over one recording."""

    def __init__(self, folder: Path, recording: Path, environment: dict[str, str]) -> None:
        self._folder, self._recording, self._number = folder, recording, 0
        known = ("PATH", "HOME", "LANG", "PYTHONPATH", "NUMBA_CACHE_DIR")
        allowed = {key: environment[key] for key in known if key in environment}
        self._starts = WarmStarts(600.0, allowed)
        slots = Slots(cpu=1, gpu=0)
        self._cold = ProcessLauncher(folder / "cold", slots, environment=allowed)
        self._warm = ProcessLauncher(folder / "warm", slots, environment=allowed, warm=self._starts)

    def __enter__(self) -> _Side:
        return self

    def __exit__(self, *_: object) -> None:
        self._starts.close()

    def compare(self, backend: str, repeats: int) -> dict[str, Any]:
        """Sort in turns; medians."""
        for _ in range(2):  # cold still; the second starts the template
            self._attempt(self._warm, backend)
        deadline_s = time.monotonic() + _PATIENCE_S
        while not self._starts.is_ready(backend):
            if time.monotonic() > deadline_s or not self._starts.pid(backend):
                raise RuntimeError(f"{backend}: no warm process, its log says why")
            time.sleep(_ROUND_S)
        own = self._template(backend)
        rows: dict[str, list[tuple[float, float]]] = {"cold": [], "warm": []}
        trains = []
        for _ in range(repeats):
            for name, launcher in (("cold", self._cold), ("warm", self._warm)):
                cpu_s, wall_s, found = self._attempt(launcher, backend)
                rows[name].append((cpu_s, wall_s))
                trains.append(found)
        cold, warm = (
            [statistics.median(values) for values in zip(*rows[name], strict=True)]
            for name in ("cold", "warm")
        )
        return {
            "cold_cpu_s": round(cold[0], 2),
            "warm_cpu_s": round(warm[0], 2),
            "cpu_ratio": round(warm[0] / cold[0], 2),
            "cold_wall_s": round(cold[1], 2),
            "warm_wall_s": round(warm[1], 2),
            **own,
            "spikes": len(trains[0]),
            "spikes_equal": all(np.array_equal(trains[0], other) for other in trains[1:]),
        }

    def _template(self, backend: str) -> dict[str, float]:
        """What the template itself costs."""
        process = psutil.Process(self._starts.pid(backend))
        times, memory = process.cpu_times(), process.memory_full_info()
        return {
            "template_cpu_s": round(times.user + times.system, 2),
            "template_own_mb": round(memory.uss / 1e6),
        }

    def _cpu_s(self) -> float:
        """CPU of every attempt that has ended, and been waited for, so far."""
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = own.ru_utime + own.ru_stime
        for pid in filter(None, map(self._starts.pid, BACKENDS)):
            times = psutil.Process(pid).cpu_times()
            seconds += times.children_user + times.children_system
        return seconds

    def _attempt(self, launcher: ProcessLauncher, backend: str) -> tuple[float, float, Any]:
        self._number += 1
        spec = self._spec(backend, f"s-bench-{self._number}")
        before, started_s = self._cpu_s(), time.monotonic()
        launcher.start(spec)
        while (seen := launcher.observe()[spec.name]).phase is not Phase.EXITED:
            time.sleep(_ROUND_S)
        wall_s, cpu_s = time.monotonic() - started_s, self._cpu_s() - before
        if seen.exit_code != 0:
            raise RuntimeError(f"{backend} ended {seen.exit_code}: {seen.log_tail}")
        root = self._folder / ("warm" if launcher is self._warm else "cold") / spec.name
        sorting = load(RunFolder(root).result / "sorting")
        return cpu_s, wall_s, sorting.to_spike_vector()

    def _spec(self, backend: str, name: str) -> AttemptSpec:
        root, files, entry = recording_files(self._recording)
        return AttemptSpec(
            run_id=f"run-{name}",
            attempt_id=f"attempt-{name}",
            name=name,
            number=1,
            backend=backend,
            recording=entry,
            stream="",
            inputs=tuple(
                InputFile(
                    path.relative_to(root).as_posix(), str(path), path.stat().st_size, in_place=True
                )
                for path in (root / file for file in files)
            ),
            config=resolve(backend, {}).to_document(),
            artifacts_url=(self._folder / "artifacts").as_uri(),
            artifacts_prefix=f"runs/{name}/attempts/sort-1",
        )


if __name__ == "__main__":
    print(measure())
