"""A tenth of a second of the recording: as recorded, as it was sorted, and whose spikes are there.

The channels are the few around the largest signal, from the smallest y at the bottom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikefleet.core.text import counted
from spikefleet.reporter.palette import SPIKE, SPIKE_REJECTED
from spikefleet.reporter.pictures.margins import Margins, place_panels
from spikefleet.reporter.pictures.paper import short_names
from spikefleet.signal.units.strip import Strip
from spikefleet.signal.units.unit_data import FloatArray, UnitData

_MARGINS = Margins(left=0.9, right=0.15, bottom=0.5, top=0.35, columns=0.25)
_TRACE = "#7a8699"
_ROW_SPREADS = 9.0  # height of a row, in robust standard deviations of the traces
_AROUND_MS = 1.0

Unit = Mapping[str, Any]


def draw_strip(figure: Figure, strip: Strip, data: UnitData, units: Sequence[Unit]) -> str:
    """Draw the strip, raw at the left and prepared at the right, with the spikes on the latter."""
    place_panels(figure, 1, 2, _MARGINS)
    left, right = figure.subplots(1, 2, sharex=True)
    n_samples = len(strip.raw_uv)
    times_ms = np.arange(n_samples) / strip.sampling_rate_hz * 1000
    row_uv = {}
    for axes, traces, title in (
        (left, strip.raw_uv, "as recorded"),
        (right, strip.prepared_uv, "as sorted"),
    ):
        row_uv[title] = _draw_traces(axes, times_ms, traces)
        axes.set_title(f"{title}, {row_uv[title]:.3g} µV between channels", fontsize=9)
        axes.set_xlabel("time (ms)")
        axes.set_xlim(0, times_ms[-1] if n_samples > 1 else 1.0)
    left.set_yticks(
        np.arange(len(strip.channel_ids)),
        short_names(strip.channel_ids),
        fontsize=7.5,
        parse_math=False,
    )
    right.set_yticks([])
    left.set_ylabel("channel")
    n_spikes, n_shown = _mark_spikes(right, strip, data, units, row_uv["as sorted"])
    return (
        f"{n_samples / strip.sampling_rate_hz * 1000:.3g} ms at {strip.start_s:.3f} s on "
        f"{counted(len(strip.channel_ids), 'channel')}, each around its median. Coloured at the "
        f"right: {counted(n_spikes, 'spike')} of {counted(n_shown, 'unit')} whose largest channel "
        "is among them; pale ones are of rejected units."
    )


def _draw_traces(axes: Axes, times_ms: FloatArray, traces_uv: FloatArray) -> float:
    """Draw channels one above the other and return the distance between them, in µV."""
    spread = float(np.median(np.abs(traces_uv))) / 0.6745
    row_uv = _ROW_SPREADS * (spread or 1.0)
    for row, trace in enumerate(traces_uv.T):
        axes.plot(times_ms, row + trace / row_uv, color=_TRACE, linewidth=0.5, rasterized=True)
    axes.set_ylim(-1.2, traces_uv.shape[1] + 0.2)
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False)
    return row_uv


def _mark_spikes(
    axes: Axes, strip: Strip, data: UnitData, units: Sequence[Unit], row_uv: float
) -> tuple[int, int]:
    """Colour each spike on its unit's largest channel; return how many, and of how many units."""
    rows = {name: row for row, name in enumerate(strip.channel_ids)}
    n_samples = len(strip.prepared_uv)
    low, high = np.searchsorted(
        data.spike_samples, [strip.start_sample, strip.start_sample + n_samples]
    )
    around = max(1, round(_AROUND_MS * strip.sampling_rate_hz / 2000))
    n_spikes, seen = 0, set()
    for index in range(int(low), int(high)):
        unit = int(data.spike_units[index])
        row = rows.get(str(units[unit].get("channel_id")))
        if row is None:
            continue
        at = int(data.spike_samples[index]) - strip.start_sample
        inside = np.arange(max(0, at - around), min(n_samples, at + around + 1))
        axes.plot(
            inside / strip.sampling_rate_hz * 1000,
            row + strip.prepared_uv[inside, row] / row_uv,
            color=SPIKE if units[unit]["passed"] else SPIKE_REJECTED,
            linewidth=1.1,
            rasterized=True,
        )
        n_spikes += 1
        seen.add(unit)
    return n_spikes, len(seen)
