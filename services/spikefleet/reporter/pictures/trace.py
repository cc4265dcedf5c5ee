"""A strip of a recording's raw traces, in µV with a scale bar.

Reads a fraction of a second of some channels; filters nothing, so that what is seen is what the
file holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.reporter.pictures.paper import (
    INK,
    MARKS,
    MUTED,
    STYLE,
    WIDEST_IN,
    head,
    legend,
    save,
    short_names,
)
from spikefleet.signal.formats.reader_errors import reading_traces

_MOST_TRACES = 48
# Columns left of the traces, in parts of their width.
_ID_AT, _PLACE_AT = -0.006, -0.05
_NICE = (1.0, 2.0, 5.0)


@dataclass(frozen=True)
class TraceWindow:
    """Which stretch to draw: from ``start_s`` (the middle where None), ``length_s`` of it."""

    start_s: float | None = None
    length_s: float = 0.2


def draw_trace_picture(
    recording: BaseRecording,
    title: str,
    bad_channels: Mapping[str, str],
    out: Path,
    window: TraceWindow = TraceWindow(),
) -> None:
    """Draw a short stretch of up to 48 channels in µV, from the top of the probe downwards.

    Each trace is shown around its own median; nothing is filtered.

    Raises:
        InvalidConfigurationError: the stretch is outside the recording.
        InputCorruptError: the traces cannot be read.
    """
    rate_hz, n_samples = float(recording.sampling_frequency), int(recording.get_num_samples())
    first, last = _frames(window, rate_hz, n_samples)
    chosen, places_um = _spread_channels(recording)
    ids = [str(channel) for channel in recording.channel_ids]
    with reading_traces():
        codes = recording.get_traces(
            start_frame=first, end_frame=last, channel_ids=recording.channel_ids[chosen]
        )
    traces, unit = _to_microvolts(recording, codes, chosen)
    step = _spacing(traces)
    times_ms = np.arange(last - first) / rate_hz * 1e3
    n_traces = len(chosen)
    with rc_context(STYLE):
        height_in = 1.15 + 0.155 * max(n_traces, 8)
        figure = Figure(figsize=(WIDEST_IN, height_in))
        axis = figure.add_axes((0.115, 0.5 / height_in, 0.80, 1 - 1.05 / height_in))
        for row, channel in enumerate(chosen):
            why = bad_channels.get(ids[channel])
            colour = MARKS[why] if why else INK
            at = -row * step
            axis.plot(times_ms, traces[:, row] + at, color=colour, linewidth=0.45)
            _name_trace(axis, at, short_names(ids)[channel], places_um, channel, colour)
        _finish_strip(axis, times_ms, step, n_traces, unit)
        columns = {"id": _ID_AT} if places_um is None else {"id": _ID_AT, "x, y (µm)": _PLACE_AT}
        for word, at in columns.items():
            axis.text(at, 1.0, word, transform=axis.transAxes, ha="right", fontsize=6, color=MUTED)
        shown = "all" if n_traces == len(ids) else f"{n_traces} of"
        said = f"{shown} {len(ids)} channels, {first / rate_hz:.3f} to {last / rate_hz:.3f} s"
        head(figure, f"{title}\nraw traces of {said}, each around its median")
        legend(figure, [bad_channels.get(ids[channel], "") for channel in chosen])
        save(figure, out)


def _frames(window: TraceWindow, rate_hz: float, n_samples: int) -> tuple[int, int]:
    length = max(2, min(n_samples, round(window.length_s * rate_hz)))
    start = (n_samples - length) // 2 if window.start_s is None else round(window.start_s * rate_hz)
    if not 0 <= start < n_samples:
        raise InvalidConfigurationError(
            f"{window.start_s:g} s is outside the recording, which lasts "
            f"{n_samples / rate_hz:.3f} s. Name a time inside it.",
            field="trace_start",
            value=window.start_s,
        )
    return start, min(start + length, n_samples)


def _spread_channels(
    recording: BaseRecording,
) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """Return up to 48 channels spread over the probe, the top one first, and all places in µm."""
    n_channels = int(recording.get_num_channels())
    order, places_um = np.arange(n_channels), None
    if recording.has_probe():
        places = np.asarray(recording.get_channel_locations(), dtype=np.float64)
        groups = np.array([str(group) for group in recording.get_channel_groups()])
        order, places_um = np.lexsort((places[:, 0], -places[:, 1], groups)), places[:, :2]
    if n_channels > _MOST_TRACES:
        order = order[np.linspace(0, n_channels - 1, _MOST_TRACES).round().astype(np.int64)]
    return order, places_um


def _to_microvolts(
    recording: BaseRecording, codes: NDArray[Any], chosen: NDArray[np.int64]
) -> tuple[NDArray[np.float64], str]:
    traces = codes.astype(np.float64)
    for column in traces.T:
        finite = column[np.isfinite(column)]
        column -= np.median(finite) if finite.size else 0.0
    gains = recording.get_channel_gains()
    if gains is None:
        return traces, "counts"
    assumed = bool(recording.get_annotation("gain_assumed"))
    scaled: NDArray[np.float64] = traces * np.asarray(gains, dtype=np.float64)[chosen]
    return scaled, "µV (gain assumed)" if assumed else "µV"


def _spacing(traces: NDArray[np.float64]) -> float:
    """Return the distance between two traces at which most of them do not touch."""
    finite = np.where(np.isfinite(traces), traces, 0.0)
    low, high = np.percentile(finite, (0.5, 99.5), axis=0)
    spread = (high - low)[high > low]
    return float(np.median(spread)) * 1.15 if spread.size else 1.0


def _nice(value: float) -> float:
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(step * power for step in _NICE if step * power <= value * 1.0001))


def _name_trace(
    axis: Axes,
    at: float,
    name: str,
    places_um: NDArray[np.float64] | None,
    channel: int,
    colour: str,
) -> None:
    place = axis.get_yaxis_transform()
    axis.text(_ID_AT, at, name, transform=place, ha="right", va="center", fontsize=6, color=colour)
    if places_um is not None:
        axis.text(
            _PLACE_AT,
            at,
            f"{places_um[channel][0]:.0f}, {places_um[channel][1]:.0f}",
            transform=place,
            ha="right",
            va="center",
            fontsize=6,
            color=MUTED,
        )


def _finish_strip(
    axis: Axes, times_ms: NDArray[np.float64], step: float, n_traces: int, unit: str
) -> None:
    """Set the limits and draw the scale bars, clear of the traces."""
    length_ms = float(times_ms[-1])
    bottom, top = -(n_traces - 1 + 1.2) * step, 1.6 * step
    axis.set_xlim(0, length_ms)
    axis.set_ylim(bottom, top)
    axis.set_axis_off()
    tall, long = _nice(1.6 * step), _nice(length_ms / 6)
    corner_x, corner_y = length_ms * 1.012, bottom
    axis.plot([corner_x] * 2, [corner_y, corner_y + tall], color=INK, lw=1.4, clip_on=False)
    axis.plot([corner_x - long, corner_x], [corner_y] * 2, color=INK, lw=1.4, clip_on=False)
    axis.text(
        corner_x + length_ms * 0.006,
        corner_y + tall / 2,
        f"{tall:g} {unit}",
        va="center",
        fontsize=7.5,
        clip_on=False,
    )
    axis.annotate(
        f"{long:g} ms",
        (corner_x - long / 2, corner_y),
        xytext=(0, -3),
        fontsize=7.5,
        textcoords="offset points",
        ha="center",
        va="top",
        annotation_clip=False,
    )
