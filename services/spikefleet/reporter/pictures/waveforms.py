"""The report's grid of mean waveforms, with the time they span."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikefleet.reporter.palette import ACCENT, BAD, GRID, INK
from spikefleet.reporter.pictures.margins import Margins, place_panels
from spikefleet.signal.units.unit_data import FloatArray, UnitData

_GRID_UNITS = 24
_MARGINS = Margins(left=0.05, right=0.05, bottom=0.08, top=0.28, columns=0.12, rows=0.3)

Unit = Mapping[str, Any]


def draw_templates(
    figure: Figure, data: UnitData, units: Sequence[Unit], _curation: Mapping[str, Any]
) -> str:
    """Mean waveform and one standard deviation on each unit's largest channel, by amplitude."""
    if data.templates_uv.shape[1] == 0:
        return ""
    chosen = _grid_units(units)
    shown = (
        f"{len(chosen)} units"
        if len(chosen) == len(units)
        else (f"the {len(chosen)} largest of {len(units)} units")
    )
    columns, rows = 6, grid_rows(units)
    place_panels(figure, rows, columns, _MARGINS)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).flat
    time_ms = (np.arange(data.templates_uv.shape[1]) - data.peak_index) / data.sampling_rate_hz
    time_ms = time_ms * 1000
    for axes in panels:
        axes.set_axis_off()
    for axes, index in zip(figure.axes, chosen, strict=False):
        unit = units[index]
        mean, spread = template_of(data, index, unit)
        colour = ACCENT if unit["passed"] else BAD
        axes.fill_between(
            time_ms, mean - spread, mean + spread, color=colour, alpha=0.22, linewidth=0
        )
        axes.plot(time_ms, mean, color=colour, linewidth=1.4)
        axes.axhline(0.0, color=GRID, linewidth=0.6, zorder=0)
        height = unit.get("amplitude_uv") or 0.0
        axes.set_title(
            f"{unit['unit_id']} · {height:.0f} µV", fontsize=8.5, pad=2, parse_math=False
        )
    _draw_time_scale(figure.axes[0], time_ms)
    return (
        f"Mean waveforms of {shown} on their largest channel, each over {np.ptp(time_ms):.2g} ms "
        "and scaled to its own amplitude; the band is one standard deviation."
    )


def _draw_time_scale(axes: Axes, time_ms: FloatArray) -> None:
    """A bar below the first waveform: one millisecond, or less where less is shown."""
    length_ms = next((span for span in (1.0, 0.5, 0.2) if span < 0.7 * np.ptp(time_ms)), 0.1)
    start_ms, below = float(time_ms[0]), axes.get_xaxis_transform()
    axes.plot(
        [start_ms, start_ms + length_ms],
        [0.06, 0.06],
        transform=below,
        color=INK,
        linewidth=1.6,
        solid_capstyle="butt",
    )
    axes.text(
        start_ms + length_ms / 2,
        0.1,
        f"{length_ms:g} ms",
        transform=below,
        ha="center",
        va="bottom",
        fontsize=8,
    )


def template_of(data: UnitData, index: int, unit: Unit) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation (T,) in µV of one unit on its largest channel.

    The deviation is zero where none was kept. Raises IndexError where the analyzer does not have
    the channel.
    """
    channel = int(unit.get("channel_index") or 0)
    mean = data.templates_uv[index, :, channel]
    if data.template_stds_uv.shape[1] == 0:
        return mean, np.zeros(len(mean))
    return mean, data.template_stds_uv[index, :, channel]


def _grid_units(units: Sequence[Unit]) -> list[int]:
    """The units with the largest amplitude, curated ones first."""
    order = sorted(
        range(len(units)),
        key=lambda i: (not units[i]["passed"], -(units[i].get("amplitude_uv") or 0.0), i),
    )
    return order[:_GRID_UNITS]


def grid_rows(units: Sequence[Unit]) -> int:
    """Return how many rows of six the grid has."""
    return max(1, -(-min(len(units), _GRID_UNITS) // 6))
