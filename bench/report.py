"""What curation and a report's figures cost: CPU of one process, the least of several.

Six units' figures, laid out and written as SVG, and a thousand units' curation from metrics to the
texts of its files. The yardstick is one empty figure of four panels by matplotlib's own
``savefig`` with its constrained layout: what any drawing costs here.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tests.support.sorted_units import make_data, trough

from bench.cpu import cpu_ms
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.reporter.figures import draw_all
from spikefleet.signal.units.curate import curate_units
from spikefleet.signal.units.export import format_units_csv
from spikefleet.signal.units.quality import measure_units
from spikefleet.signal.units.unit_data import UnitData

FIGURES_LIMIT_MS = 500.0
REPEATS = 9


def measure() -> tuple[dict[str, Any], bool]:
    """Return CPU milliseconds of each, and whether the bound on the figures is held."""
    data = _units(6)
    rows = [unit.to_json() | {"passed": True, "failed_on": ""} for unit in measure_units(data)]
    step = {"name": "snr_min", "metric": "snr", "bound": 5.0, "at_least": True}
    curation = {"steps": [step | {"n_failed": 0, "n_left": 6}]}
    many = _units(1_000)
    figures_ms = _least_ms(lambda: draw_all(data, rows, curation))
    result = {
        "yardstick_empty_figure_ms": _least_ms(_empty_figure),
        "figures_of_6_units_ms": figures_ms,
        "curation_of_1000_units_ms": _least_ms(lambda: _curate(many)),
        "figures_limit_ms": FIGURES_LIMIT_MS,
    }
    return {name: round(value, 1) for name, value in result.items()}, figures_ms <= FIGURES_LIMIT_MS


def _units(count: int) -> UnitData:
    rng = np.random.default_rng(0)
    trains = [np.sort(rng.integers(0, 100_000, 400)).tolist() for _ in range(count)]
    return make_data(trains, np.stack([trough(i % 2, 30.0 + 10 * (i % 9)) for i in range(count)]))


def _curate(data: UnitData) -> str:
    units = measure_units(data)
    history = curate_units(units, SortingConfig().curation)
    told = [unit.to_json() for unit in units]
    text = format_units_csv(told, history.failed_on())
    return text + json.dumps(history.to_json() | {"units": told})


def _empty_figure() -> None:
    figure = Figure(figsize=(6.2, 5.4), layout="constrained")
    figure.subplots(2, 2)
    figure.savefig(io.StringIO(), format="svg")


def _least_ms(work: Callable[[], object]) -> float:
    return min(cpu_ms(work, REPEATS))


if __name__ == "__main__":
    print(measure())
