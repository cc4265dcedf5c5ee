"""Where spikes are along the probe over time: what a moving probe or tissue shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from spikefleet.core.text import counted
from spikefleet.reporter.palette import INK
from spikefleet.reporter.pictures.margins import Margins, place_panels
from spikefleet.reporter.pictures.raster import seams_s_of
from spikefleet.signal.units.unit_data import UnitData

_MOST_SPIKES = 60_000
_MARGINS = Margins(left=0.8, right=0.95, bottom=0.5, top=0.1)

Unit = Mapping[str, Any]


def draw_drift(
    figure: Figure, data: UnitData, _units: Sequence[Unit], _curation: Mapping[str, Any]
) -> str:
    """Draw y of every spike over the recording's time, coloured by its amplitude.

    Nothing where the sort measured no place of each spike. Of very many every n-th is drawn.
    """
    places = data.spike_locations_um
    known = np.flatnonzero(np.isfinite(places).all(axis=1)) if len(places) else np.zeros(0, int)
    if not known.size:
        return ""
    step = max(1, -(-known.size // _MOST_SPIKES))
    chosen = known[::step]
    times_s = data.original_samples[chosen] / data.sampling_rate_hz
    has_heights = len(data.spike_amplitudes_uv) == len(places)
    heights = np.abs(data.spike_amplitudes_uv[chosen]) if has_heights else np.ones(chosen.size)
    heights = np.where(np.isfinite(heights), heights, 0.0)
    order = np.argsort(heights, kind="stable")  # the largest on top
    place_panels(figure, 1, 1, _MARGINS)
    axes = figure.add_subplot()
    shown = axes.scatter(
        times_s[order],
        places[chosen, 1][order],
        c=heights[order],
        vmax=float(np.percentile(heights, 98)) or None,
        cmap=colormaps["viridis_r"],
        s=3,
        linewidths=0,
        alpha=0.6,
        rasterized=True,
    )
    low, high = np.percentile(places[chosen, 1], [0.5, 99.5])
    room = 0.05 * (high - low) + 10
    axes.set_ylim(low - room, high + room)
    axes.set_xlim(0, data.original_s)
    for seam_s in seams_s_of(data):
        axes.axvline(seam_s, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), alpha=0.6)
    axes.set_xlabel("time (s)")
    axes.set_ylabel("y (µm)")
    if has_heights:
        bar = figure.colorbar(shown, cax=axes.inset_axes((1.02, 0.1, 0.015, 0.8)))
        bar.set_label("amplitude (µV)")
        bar.outline.set_visible(False)
    some = "" if step == 1 else f", every {step}th of them"
    return (
        f"Where {counted(known.size, 'spike')} of all units are along y over time{some}, each by "
        "its centre of mass. A probe that moves shows as bands that rise or fall together."
    )
