"""Curated and rejected units by how often they fire and how much their waveforms vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from spikefleet.reporter.palette import ACCENT, BAD, INK
from spikefleet.reporter.pictures.margins import Margins, place_panels
from spikefleet.signal.units.unit_data import UnitData

_MARGINS = Margins(left=0.75, right=0.2, bottom=0.5, top=0.15)

Unit = Mapping[str, Any]


def draw_verdicts(
    figure: Figure, _data: UnitData, units: Sequence[Unit], curation: Mapping[str, Any]
) -> str:
    """Draw spread over spikes of every unit, rejected ones hollow; dashed are the thresholds."""
    pairs = [(u.get("spike_count"), u.get("std_norm"), bool(u["passed"])) for u in units]
    shown = [(x, y, kept) for x, y, kept in pairs if x and y is not None and y > 0]
    if not shown:
        return ""
    x, y = (np.array([row[i] for row in shown], dtype=float) for i in (0, 1))
    kept = np.array([row[2] for row in shown])
    place_panels(figure, 1, 1, _MARGINS)
    axes = figure.add_subplot()
    axes.scatter(x[kept], y[kept], s=26, color=ACCENT, alpha=0.8, linewidths=0)
    axes.scatter(x[~kept], y[~kept], s=26, facecolors="none", edgecolors=BAD, linewidths=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):  # 20, 50, 100 rather than powers of ten
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    bounds = {str(s["metric"]): float(s["bound"]) for s in curation.get("steps") or []}
    for metric, line in (("spike_count", axes.axvline), ("std_norm", axes.axhline)):
        if bounds.get(metric, 0.0) > 0:
            line(bounds[metric], color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xlabel("spikes")
    axes.set_ylabel("spread of waveforms / amplitude")
    dashed = " Dashed lines are the curation thresholds." if bounds else ""
    return (
        f"Spread of the waveforms over the number of spikes, of {int(kept.sum())} curated units "
        f"and {int((~kept).sum())} rejected ones as hollow circles.{dashed}"
    )
