"""Where the units are on the probe, coloured by amplitude."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from spikefleet.reporter.palette import BAD, MUTED, PANEL
from spikefleet.reporter.pictures.raster import NAMED_UNITS
from spikefleet.signal.units.unit_data import UnitData

_HEIGHT_IN = 5.4

Unit = Mapping[str, Any]


def draw_unit_map(
    figure: Figure, data: UnitData, units: Sequence[Unit], _curation: Mapping[str, Any]
) -> str:
    """Contacts and units on the probe; colour is amplitude, hollow units were rejected."""
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    where = data.channel_locations_um
    if where.size == 0:
        return ""
    axes.scatter(where[:, 0], where[:, 1], s=14, marker="s", color=MUTED, alpha=0.4, linewidths=0)
    x, y = (np.array([u.get(k) for u in units], dtype=float) for k in ("x_um", "y_um"))
    amplitude = np.array([u.get("amplitude_uv") for u in units], dtype=float)
    passed = np.array([bool(u["passed"]) for u in units])
    known = amplitude[np.isfinite(amplitude)]
    norm = Normalize(0.0, float(known.max()) if known.size else 1.0)
    axes.scatter(
        x[~passed], y[~passed], s=60, facecolors="none", edgecolors=BAD, linewidths=1, alpha=0.8
    )
    shown = axes.scatter(
        x[passed],
        y[passed],
        s=90,
        c=amplitude[passed],
        cmap=colormaps["viridis"],
        norm=norm,
        edgecolors=PANEL,
        linewidths=0.8,
        alpha=0.92,
    )
    for unit, at_x, at_y in zip(units, x, y, strict=True):
        if len(units) <= NAMED_UNITS and np.isfinite([at_x, at_y]).all():
            axes.annotate(
                str(unit["unit_id"]),
                (at_x, at_y),
                xytext=(6, 3),
                textcoords="offset points",
                fontsize=7.5,
                parse_math=False,
            )
    bar = figure.colorbar(shown, ax=axes, shrink=0.6, aspect=25, pad=0.03)
    bar.set_label("amplitude (µV)")
    bar.outline.set_visible(False)
    span = np.ptp(where, axis=0)
    margin = 0.06 * float(span.max()) + 10
    axes.set_xlim(where[:, 0].min() - margin, where[:, 0].max() + margin)
    axes.set_ylim(where[:, 1].min() - margin, where[:, 1].max() + margin)
    axes.set_aspect("equal" if span[0] > 0 and span.max() / span[0] < 6 else "auto")
    axes.set_xlabel("x (µm)")
    axes.set_ylabel("y (µm)")
    kept, dropped = int(passed.sum()), int((~passed).sum())
    hollow = f" and {dropped} rejected ones as hollow circles" if dropped else ""
    return f"Map of {len(where)} contacts with {kept} curated units coloured by amplitude{hollow}."


def map_height_in(data: UnitData, _units: Sequence[Unit]) -> float:
    """As high as the contacts need at equal scales, so that a square array has no empty margin."""
    where = data.channel_locations_um
    width_um, height_um = np.ptp(where, axis=0) if where.size else (0.0, 0.0)
    if width_um <= 0 or height_um / width_um > 1.6:
        return _HEIGHT_IN
    return float(np.clip(0.9 + 3.1 * height_um / width_um, 2.6, _HEIGHT_IN))
