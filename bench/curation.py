"""What it costs to curate a stored sort again: 400 units on 64 channels, 120 s, from its analyzer.

The analyzer is made once and read by every curation. The bound is 2 s of CPU; opening the analyzer
alone stands beside it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import spikeinterface.core as si

from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.curation.curate import curate_into
from spikefleet.signal.units.analyzer import build_analyzer
from spikefleet.signal.units.unit_data import read_units

LIMIT_CPU_S = 2.0
UNITS, CHANNELS, RATE_HZ, DURATION_S = 400, 64, 20_000.0, 120.0
_REPEATS = 3


def measure() -> tuple[dict[str, Any], bool]:
    """Return the least wall and CPU seconds of opening and of curating; whether the bound holds."""
    with tempfile.TemporaryDirectory() as scratch:
        result = times_of(make_analyzer(Path(scratch)), Path(scratch))
    return {"units": UNITS, **result}, result["curate_cpu_s"] <= LIMIT_CPU_S


def make_analyzer(folder: Path) -> Path:
    """Write the analyzer of a simulated sort; return its folder."""
    recording, sorting = si.generate_ground_truth_recording(
        durations=[DURATION_S],
        sampling_frequency=RATE_HZ,
        num_channels=CHANNELS,
        num_units=UNITS,
        generate_sorting_kwargs={"firing_rates": 5.0, "refractory_period_ms": 3.0},
        seed=11,
    )
    settings = WaveformConfig(save_waveform_files=False, max_waveforms_per_unit=20)
    build_analyzer(recording, sorting, folder / "analyzer", settings, seed=1)
    return folder / "analyzer"


def times_of(analyzer: Path, folder: Path) -> dict[str, float]:
    """Return the least of three, in seconds."""

    def curate() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            curate_into(Path(out), analyzer, {}, CurationConfig(), WaveformConfig())

    works: tuple[tuple[str, Callable[[], object]], ...] = (
        ("open", lambda: read_units(analyzer)),
        ("curate", curate),
    )
    numbers: dict[str, float] = {}
    for name, work in works:
        times = [_timed(work) for _ in range(_REPEATS)]
        numbers[f"{name}_wall_s"] = round(min(wall for wall, _ in times), 3)
        numbers[f"{name}_cpu_s"] = round(min(cpu for _, cpu in times), 3)
    return numbers


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu
