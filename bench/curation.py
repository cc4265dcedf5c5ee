"""What a curation of a stored sort costs: 400 units on 64 channels, 120 s, from its analyzer.

    python bench/curation.py [--units N] [--folder DIR]

The analyzer is made once below the folder and read by every curation; the least CPU and wall time
of three are told, beside those of opening the analyzer alone, which is the yardstick.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import spikeinterface.core as si

from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.curation.curate import curate_into
from spikefleet.signal.units.analyzer import build_analyzer
from spikefleet.signal.units.unit_data import read_units

RATE_HZ, CHANNELS, DURATION_S = 20_000.0, 64, 120.0
_REPEATS = 3


def make_analyzer(folder: Path, units: int) -> Path:
    """Write the analyzer of a simulated sort; return its folder."""
    recording, sorting = si.generate_ground_truth_recording(
        durations=[DURATION_S],
        sampling_frequency=RATE_HZ,
        num_channels=CHANNELS,
        num_units=units,
        generate_sorting_kwargs={"firing_rates": 5.0, "refractory_period_ms": 3.0},
        seed=11,
    )
    place = folder / "analyzer"
    settings = WaveformConfig(save_waveform_files=False, max_waveforms_per_unit=20)
    build_analyzer(recording, sorting, place, settings, seed=1)
    return place


def measure(analyzer: Path, folder: Path) -> dict[str, float]:
    """Return the least wall and CPU seconds of opening and of curating."""
    numbers: dict[str, float] = {}

    def curate() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            curate_into(Path(out), analyzer, {}, CurationConfig(), WaveformConfig())

    works: tuple[tuple[str, Callable[[], object]], ...] = (
        ("open", lambda: read_units(analyzer)),
        ("curate", curate),
    )
    for name, work in works:
        times = [_timed(work) for _ in range(_REPEATS)]
        numbers[f"{name}_wall_s"] = round(min(wall for wall, _ in times), 3)
        numbers[f"{name}_cpu_s"] = round(min(cpu for _, cpu in times), 3)
    numbers["curate_over_open"] = round(numbers["curate_cpu_s"] / numbers["open_cpu_s"], 1)
    return numbers


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Measure and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=400)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        folder = Path(scratch)
        numbers = measure(make_analyzer(folder, given.units), folder)
    print(json.dumps({"units": given.units, **numbers}, indent=1))


if __name__ == "__main__":
    main()
