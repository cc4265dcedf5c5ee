"""How an action potential travels: a unit's trough on every electrode that sees it, by its delay.

A page of small maps, the largest units first. An electrode is coloured by when its mean waveform
has its trough, after the unit's largest one; its size tells how deep. Units that few electrodes
see have nothing to show, nor have recordings with few electrodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from spikefleet.core.text import counted
from spikefleet.reporter.palette import GRID, INK
from spikefleet.reporter.pictures.margins import Margins, place_panels
from spikefleet.signal.units.unit_data import FloatArray, IntArray, UnitData

MAPS, MAPS_IN_A_ROW = 12, 6
_MARGINS = Margins(left=0.1, right=0.75, bottom=0.1, top=0.3, columns=0.2, rows=0.35)
_LEAST_SHARE, _FEWEST = 0.12, 4
_LEAST_MS, _MOST_MS = 0.1, 1.0  # of the colours

Unit = Mapping[str, Any]


def delays_of(data: UnitData, index: int) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the channels that see a unit, each one's delay after the largest (ms) and depth (µV).

    A channel sees it where its trough is at least 12 % of the largest.
    """
    waveforms = np.nan_to_num(data.templates_uv[index])
    depths = -waveforms.min(axis=0)
    deepest = float(depths.max(initial=0.0))
    seen = np.flatnonzero((depths > 0) & (depths >= _LEAST_SHARE * deepest))
    at = waveforms[:, seen].argmin(axis=0)
    root = int(np.argmax(depths[seen])) if seen.size else 0
    delays_ms = (at - (at[root] if seen.size else 0)) / data.sampling_rate_hz * 1000.0
    return seen, delays_ms, depths[seen]


def _shown(data: UnitData, units: Sequence[Unit]) -> list[tuple[str, int]]:
    """Names and indices of the units to draw, the largest first."""
    found = []
    for index, unit in enumerate(units):
        seen, _, depths = delays_of(data, index)
        if seen.size >= _FEWEST:
            found.append((-float(depths.max()), index, str(unit["unit_id"])))
    return [(name, index) for _, index, name in sorted(found)[:MAPS]]


def rows_of_maps(data: UnitData, units: Sequence[Unit]) -> int:
    """Return how many rows of maps there are; at least 1."""
    return max(1, -(-len(_shown(data, units)) // MAPS_IN_A_ROW))


def draw_propagation(
    figure: Figure, data: UnitData, units: Sequence[Unit], _curation: Mapping[str, Any]
) -> str:
    """Draw the maps; "" where no unit is seen by four channels."""
    shown = _shown(data, units)
    if not shown:
        return ""
    rows = rows_of_maps(data, units)
    place_panels(figure, rows, MAPS_IN_A_ROW, _MARGINS)
    x_um, y_um = data.channel_locations_um[:, 0], data.channel_locations_um[:, 1]
    longest = max(float(np.abs(delays_of(data, index)[1]).max()) for _, index in shown)
    ends, points = float(np.clip(longest, _LEAST_MS, _MOST_MS)), None
    for place, (name, index) in enumerate(shown):
        axes = figure.add_subplot(rows, MAPS_IN_A_ROW, place + 1)
        seen, delays_ms, depths = delays_of(data, index)
        axes.scatter(x_um, y_um, s=4, color=GRID, linewidths=0)
        sizes = 8.0 + 60.0 * depths / depths.max()
        shades = np.clip(delays_ms, -ends, ends)
        points = axes.scatter(
            x_um[seen], y_um[seen], s=sizes, c=shades, cmap="coolwarm", vmin=-ends, vmax=ends
        )
        root = seen[int(np.argmax(depths))]
        axes.scatter(
            x_um[root], y_um[root], s=90, facecolors="none", edgecolors=INK, linewidths=1.2
        )
        middle_um, half_um = _square(x_um[seen], y_um[seen])
        axes.set_xlim(middle_um[0] - half_um, middle_um[0] + half_um)
        axes.set_ylim(middle_um[1] - half_um, middle_um[1] + half_um)
        axes.set_title(name[:16], fontsize=8, parse_math=False)
        axes.set_xticks([])
        axes.set_yticks([])
    if points is not None:
        bar = figure.colorbar(points, ax=figure.axes, fraction=0.02, pad=0.01)
        bar.set_label("delay (ms)")
    return (
        f"Delays of {counted(len(shown), 'unit')} on the channels that see each, after its largest "
        f"(ringed): up to {longest:.2g} ms. Larger dots are deeper troughs."
    )


def _square(x_um: FloatArray, y_um: FloatArray) -> tuple[tuple[float, float], float]:
    """Middle and half width of a square around points, with room."""
    middle = (float(x_um.min() + x_um.max()) / 2, float(y_um.min() + y_um.max()) / 2)
    return middle, max(float(np.ptp(x_um)), float(np.ptp(y_um)), 20.0) * 0.62
