"""Spikes over time: the raster of every unit above the population's rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikefleet.core.text import counted
from spikefleet.reporter.palette import ACCENT, GRID, INK, SPIKE, SPIKE_REJECTED
from spikefleet.reporter.pictures.margins import Margins, place_panels
from spikefleet.signal.units.unit_data import FloatArray, IntArray, UnitData

NAMED_UNITS = 40  # more names than that cannot be read
_MOST_SPIKES = 150_000
_MARGINS = Margins(left=0.8, right=0.15, bottom=0.5, top=0.1, rows=0.12)

Unit = Mapping[str, Any]


def draw_raster(
    figure: Figure, data: UnitData, units: Sequence[Unit], _curation: Mapping[str, Any]
) -> str:
    """Spikes of every unit over time, lowest on the probe first, above the population rate."""
    if data.spike_samples.size == 0 or data.duration_s <= 0:
        return ""
    place_panels(figure, 2, 1, _MARGINS)
    grid = figure.add_gridspec(2, 1, height_ratios=(3, 1))
    top = figure.add_subplot(grid[0])
    bottom = figure.add_subplot(grid[1], sharex=top)
    rank = np.empty(len(units), dtype=np.int64)
    rank[_by_depth(units)] = np.arange(len(units))
    times = data.original_samples / data.sampling_rate_hz
    passed = np.array([bool(u["passed"]) for u in units])[data.spike_units]
    step = max(1, times.size // _MOST_SPIKES)
    size = float(np.clip(420 / len(units), 2.0, 60.0))
    for chosen, colour in ((~passed, SPIKE_REJECTED), (passed, SPIKE)):
        top.scatter(
            times[chosen][::step],
            rank[data.spike_units[chosen]][::step],
            s=size,
            marker="|",
            linewidths=0.7,
            color=colour,
            rasterized=True,
        )
    top.set_ylabel("unit, by y")
    top.set_ylim(-0.7, len(units) - 0.3)
    _name_rows(top, [str(units[i]["unit_id"]) for i in _by_depth(units)])
    bins = int(np.clip(data.duration_s, 30, 300))
    windows_s = windows_s_of(data)
    first_s, last_s = windows_s[0, 0], windows_s[-1, 1]
    counts, edges = np.histogram(times[passed], bins=bins, range=(first_s, last_s))
    rate_hz = _rates_hz(counts, edges, windows_s)
    bottom.stairs(rate_hz, edges, color=ACCENT, alpha=0.3, fill=True, linewidth=0)
    bottom.stairs(rate_hz, edges, color=ACCENT, linewidth=1)
    bottom.set_ylim(0, max(1.0, float(rate_hz.max()) * 1.1))
    seams_s = seams_s_of(data)
    for axes in (top, bottom):
        for seam_s in seams_s:
            axes.axvline(seam_s, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), alpha=0.6)
        for gap_s in zip(windows_s[:-1, 1], windows_s[1:, 0], strict=True):
            axes.axvspan(*gap_s, color=GRID, alpha=0.5, linewidth=0)
    bottom.set_xlim(first_s, last_s)
    bottom.set_ylabel("spikes/s")
    bottom.set_xlabel("time (s)")
    mean_hz = passed.sum() / data.duration_s
    gaps = " Grey: not sorted." if len(windows_s) > 1 else ""
    gaps += " Dashed: where the next recording begins." if seams_s else ""
    return (
        f"Raster of {counted(len(units), 'unit')} over {data.duration_s:.0f} s, with the summed "
        f"rate of the curated units, {mean_hz:.3g} spikes per second on average.{gaps}"
    )


def _by_depth(units: Sequence[Unit]) -> list[int]:
    """Indices of units from the bottom of the probe to its top."""
    return sorted(range(len(units)), key=lambda i: (units[i].get("y_um") or 0.0, i))


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Write the unit's name at each row, where there is room for all."""
    axes.tick_params(labelbottom=False, left=False, labelleft=len(names) <= NAMED_UNITS)
    if len(names) <= NAMED_UNITS:
        size = float(np.clip(150 / len(names), 5.0, 8.5))
        axes.set_yticks(range(len(names)), names, fontsize=size, parse_math=False)


def seams_s_of(data: UnitData) -> list[float]:
    """Where the next of several recordings begins, in seconds of the recording."""
    if data.timeline is None:
        return []
    return [end / data.sampling_rate_hz for _, end in data.timeline.file_bounds[:-1]]


def windows_s_of(data: UnitData) -> FloatArray:
    """The stretches that were sorted, (windows, start and end) in seconds of the recording."""
    if data.timeline is None:
        return np.array([[0.0, data.duration_s]])
    return np.array(data.timeline.kept, dtype=np.float64) / data.sampling_rate_hz


def _rates_hz(counts: IntArray, edges: FloatArray, windows_s: FloatArray) -> FloatArray:
    """Counts over the sorted time in each bin; 0 in a bin of which nothing was sorted."""
    low, high = windows_s[:, :1], windows_s[:, 1:]
    overlap_s = np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1])
    sorted_s = np.clip(overlap_s, 0.0, None).sum(axis=0)
    rates_hz: FloatArray = np.zeros(len(counts))
    np.divide(counts, sorted_s, out=rates_hz, where=sorted_s > 0)
    return rates_hz
