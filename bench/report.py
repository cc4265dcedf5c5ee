"""What curation and a report cost: CPU of one process, the least of several.

Six units' figures, laid out and written as SVG, a page of 400 units with each by itself, and a
thousand units' curation from metrics to the texts of its files. The yardstick is one empty figure
of four panels by matplotlib's own ``savefig`` with its constrained layout: what any drawing costs
here.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tests.support.sorted_runs import CURATION, REPORT, SORT, make_run_record
from tests.support.sorted_units import make_data, trough

from bench.cpu import cpu_ms
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.rooms.reporting import ReportTask
from spikefleet.reporter.figures import draw_all
from spikefleet.reporter.page import format_page
from spikefleet.reporter.record import Material, build_record
from spikefleet.reporter.unit_cards import draw_units
from spikefleet.signal.units.curate import curate_units
from spikefleet.signal.units.export import format_units_csv
from spikefleet.signal.units.quality import measure_units
from spikefleet.signal.units.relations import measure_relations
from spikefleet.signal.units.unit_data import UnitData

FIGURES_LIMIT_MS = 500.0
PAGE_UNITS = 400
PAGE_LIMIT_S, PAGE_LIMIT_MB = 20.0, 10.0
REPEATS = 9
TASK = ReportTask(make_run_record(), REPORT, SORT, CURATION)


def measure() -> tuple[dict[str, Any], bool]:
    """Return CPU milliseconds of each, and whether the bounds on figures and page are held."""
    data = _units(6)
    rows = _rows(data)
    step = {"name": "snr_min", "metric": "snr", "bound": 5.0, "at_least": True}
    curation = {"steps": [step | {"n_failed": 0, "n_left": 6}]}
    many = _units(1_000)
    figures_ms = _least_ms(lambda: draw_all(data, rows, curation, []))
    page_ms, page_mb = _page(_recorded(PAGE_UNITS))
    result = {
        "page_of_400_units_ms": page_ms,
        "page_of_400_units_mb": page_mb,
        "yardstick_empty_figure_ms": _least_ms(_empty_figure),
        "figures_of_6_units_ms": figures_ms,
        "curation_of_1000_units_ms": _least_ms(lambda: _curate(many)),
        "figures_limit_ms": FIGURES_LIMIT_MS,
    }
    held = figures_ms <= FIGURES_LIMIT_MS
    held &= page_ms <= 1000 * PAGE_LIMIT_S and page_mb <= PAGE_LIMIT_MB
    return {name: round(value, 1) for name, value in result.items()}, held


def _units(count: int) -> UnitData:
    rng = np.random.default_rng(0)
    trains = [np.sort(rng.integers(0, 100_000, 400)).tolist() for _ in range(count)]
    return make_data(trains, np.stack([trough(i % 2, 30.0 + 10 * (i % 9)) for i in range(count)]))


def _recorded(count: int) -> UnitData:
    """Units of an hour on 384 channels, 20 000 spikes each."""
    rng = np.random.default_rng(0)
    spikes, rate_hz = 20_000, 30_000.0
    samples = rng.integers(0, int(3600 * rate_hz), count * spikes)
    order = np.argsort(samples, kind="stable")
    units = np.repeat(np.arange(count), spikes)[order]
    templates = np.zeros((count, 90, 384), dtype=np.float32)
    wave = -np.exp(-(((np.arange(90) - 30) / 5.0) ** 2))
    for unit in range(count):
        templates[unit, :, (unit * 7) % 384] = wave * (40 + unit % 60)
    places = np.array([[16.0 * (i % 4), 20.0 * (i // 2)] for i in range(384)])
    return replace(
        make_data([[0]], np.zeros((1, 4, 384))),
        unit_ids=tuple(str(unit) for unit in range(count)),
        channel_ids=tuple(f"ch{channel}" for channel in range(384)),
        sampling_rate_hz=rate_hz,
        duration_s=3600.0,
        spike_samples=samples[order],
        spike_units=units,
        templates_uv=templates,
        template_stds_uv=np.full_like(templates, 5.0),
        spike_amplitudes_uv=-40.0 - rng.random(count * spikes),
        noise_uv=np.full(384, 4.0),
        channel_locations_um=places,
        unit_locations_um=places[(np.arange(count) * 7) % 384],
        peak_index=30,
    )


def _rows(data: UnitData) -> list[dict[str, Any]]:
    measured = zip(measure_units(data), measure_relations(data), strict=True)
    return [
        unit.to_json() | relation.to_json() | {"passed": True, "failed_on": ""}
        for unit, relation in measured
    ]


def _page(data: UnitData) -> tuple[float, float]:
    """CPU milliseconds from the units to the page's text, and its size in MB."""
    made: list[str] = []

    def make() -> None:
        rows = _rows(data)
        material = Material(curation={"units": rows, "failed": {}})
        record = build_record(TASK, material, SortingConfig().to_document())
        drawings = draw_all(data, rows, record["curation"], [])
        made.append(format_page(record, drawings, {}, draw_units(data, rows)))

    return min(cpu_ms(make, 1)), len(made[-1].encode()) / 1e6


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
