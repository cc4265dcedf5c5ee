"""How noisy each channel is, along the probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from spikefleet.core.text import counted
from spikefleet.reporter.palette import ACCENT, BAD, MUTED
from spikefleet.reporter.pictures.margins import Margins, place_panels
from spikefleet.signal.units.unit_data import UnitData

_MARGINS = Margins(left=0.8, right=0.2, bottom=0.5, top=0.15)
_NAMED = 5
_FAR = 3.0  # times the middle, or its third

Unit = Mapping[str, Any]


def draw_noise(
    figure: Figure, data: UnitData, _units: Sequence[Unit], _curation: Mapping[str, Any]
) -> str:
    """Draw the robust standard deviation of every channel over its y; those far off are named."""
    noise, y_um = data.noise_uv, data.channel_locations_um[:, 1]
    known = np.flatnonzero(np.isfinite(noise))
    if not known.size:
        return ""
    middle = float(np.median(noise[known]))
    is_far = (noise[known] > _FAR * middle) | (noise[known] < middle / _FAR)
    place_panels(figure, 1, 1, _MARGINS)
    axes = figure.add_subplot()
    axes.axvline(middle, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
    for chosen, colour in ((~is_far, ACCENT), (is_far, BAD)):
        at = known[chosen]
        axes.scatter(noise[at], y_um[at], s=16, color=colour, alpha=0.75, linewidths=0)
    far = known[is_far]
    for channel in far[np.argsort(-np.abs(noise[far] - middle), kind="stable")][:_NAMED]:
        axes.annotate(
            data.channel_ids[channel],
            (noise[channel], y_um[channel]),
            xytext=(5, 2),
            textcoords="offset points",
            fontsize=7.5,
            parse_math=False,
        )
    axes.set_xlim(0, float(noise[known].max()) * 1.15 or 1.0)
    axes.set_xlabel("noise (µV)")
    axes.set_ylabel("y (µm)")
    told = f" {counted(far.size, 'channel')} far from it." if far.size else ""
    return (
        f"Noise of {counted(known.size, 'channel')}, each as a robust standard deviation of what "
        f"was sorted: {middle:.3g} µV in the middle (dashed), {noise[known].min():.3g} to "
        f"{noise[known].max():.3g} µV.{told}"
    )
