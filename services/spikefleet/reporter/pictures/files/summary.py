"""The three summary figures of a run: bars of units, scatter of spread, all mean waveforms.

They are known from earlier pipelines and have their names, labels and colours from the settings of
the group ``figures``. Each function draws into an empty figure and returns nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spikefleet.core.config.products import FiguresConfig
from spikefleet.reporter.pictures.files.units_by_recording import RecordingUnits
from spikefleet.reporter.pictures.waveforms import template_of
from spikefleet.signal.units.unit_data import FloatArray, UnitData

Unit = Mapping[str, Any]


def draw_bars(
    figure: Figure,
    recordings: Sequence[RecordingUnits],
    units: Sequence[Unit],
    steps: Sequence[Mapping[str, Any]],
    settings: FiguresConfig,
) -> None:
    """Draw how many units of each recording passed the first stage, and how many all of them."""
    first = {str(step["name"]) for step in steps if step.get("stage") == "first"}
    total = [sum(units[i]["failed_on"] not in first for i in r.indices) for r in recordings]
    kept = [sum(bool(units[i]["passed"]) for i in r.indices) for r in recordings]
    axes = figure.add_subplot()
    place = np.arange(len(recordings))
    axes.bar(place, total, color="#9a9a9a", width=0.7, label=settings.bar_total_label)
    axes.bar(place, kept, color="#1f6fb2", width=0.7, label=settings.bar_selected_label)
    axes.set_xticks(place, [r.name for r in recordings], rotation=settings.bar_label_rotation)
    for label in axes.get_xticklabels():
        label.set_parse_math(False)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _label(axes, settings.bar_x_label, settings.bar_y_label)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)


def draw_scatter(
    figure: Figure,
    recordings: Sequence[RecordingUnits],
    units: Sequence[Unit],
    bounds: Mapping[str, float],
    settings: FiguresConfig,
) -> None:
    """Draw spikes and spread of every unit, coloured by recording; rejected ones are hollow.

    ``bounds`` has the thresholds by metric; those of spikes and of spread are lines. Raises
    ValueError where no unit has a spread.
    """
    axes = figure.add_subplot()
    largest = np.array([0.0, 0.0])
    drawn = 0
    for position, recording in enumerate(recordings):
        spread = np.array([_number(units[i].get("std_norm")) for i in recording.indices])
        shown = np.flatnonzero(np.isfinite(spread))[: settings.scatter_std_max_units_per_recording]
        if not shown.size:
            continue
        drawn += shown.size
        x, y = recording.spikes[shown].astype(float), spread[shown]
        largest = np.maximum(largest, [x.max(), y.max()])
        colours = settings.scatter_recording_colors or ("#1f6fb2",)
        colour = colours[position % len(colours)]
        passed = np.array([bool(units[recording.indices[i]]["passed"]) for i in shown])
        full = to_rgba(colour, settings.scatter_recording_alpha)
        hollow = (*full[:3], 0.0)
        faces = [full if is_kept else hollow for is_kept in passed]
        axes.scatter(x, y, s=26, edgecolors=[full], facecolors=faces, label=recording.name)
    if not drawn:
        raise ValueError("no unit has a spread of its waveforms")
    _draw_bounds(axes, bounds)
    axes.set_xlim(0, largest[0] + max(_room_right(largest[0], settings), 1.0))
    axes.set_ylim(0, largest[1] + max(settings.scatter_y_max_buffer, 0.01))
    _label(axes, settings.scatter_x_label, settings.scatter_y_label)
    for text in axes.legend(frameon=False).get_texts():
        text.set_parse_math(False)


def _room_right(largest: float, settings: FiguresConfig) -> float:
    """The room asked for; the default, made for thousands of spikes, only up to a quarter."""
    room = settings.scatter_x_max_buffer
    is_default = room == FiguresConfig().scatter_x_max_buffer
    return min(room, largest / 4) if is_default else room


def _draw_bounds(axes: Axes, bounds: Mapping[str, float]) -> None:
    style: Any = {"color": "#444444", "linewidth": 1, "linestyle": (0, (4, 3))}
    if "spike_count" in bounds:
        axes.axvline(bounds["spike_count"], **style)
    if "std_norm" in bounds:
        axes.axhline(bounds["std_norm"], **style)


def draw_all_templates(
    figure: Figure, data: UnitData, units: Sequence[Unit], settings: FiguresConfig
) -> None:
    """Draw the mean waveform of every unit on its largest channel, one above the other.

    Curated units come first, by falling amplitude, ``templates_per_column`` of them in a column,
    ``templates_y_spacing`` µV apart. Raises ValueError where no waveforms were kept.
    """
    n_samples = data.templates_uv.shape[1]
    if not n_samples:
        raise ValueError("the sort kept no mean waveforms")
    time_ms = (np.arange(n_samples) - data.peak_index) / data.sampling_rate_hz * 1000
    inside = (time_ms >= -settings.templates_window_ms_before) & (
        time_ms <= settings.templates_window_ms_after
    )
    order = sorted(
        range(len(units)),
        key=lambda i: (not units[i]["passed"], -(units[i].get("amplitude_uv") or 0.0), i),
    )
    per_column = settings.templates_per_column
    columns = [order[at : at + per_column] for at in range(0, len(order), per_column)]
    panels = figure.subplots(1, len(columns), squeeze=False, sharex=True).flat
    for axes, column in zip(panels, columns, strict=True):
        _draw_column(axes, time_ms[inside], data, (units, column, inside), settings)
    figure.supxlabel(settings.templates_x_label, parse_math=False)


def _draw_column(
    axes: Axes,
    time_ms: FloatArray,
    data: UnitData,
    shown: tuple[Sequence[Unit], Sequence[int], Any],
    settings: FiguresConfig,
) -> None:
    units, column, inside = shown
    lowest, highest = np.inf, -np.inf
    for row, index in enumerate(column):
        mean, _ = template_of(data, index, units[index])
        height = mean[inside] - row * settings.templates_y_spacing
        known = height[np.isfinite(height)]
        if known.size:
            lowest, highest = min(lowest, known.min()), max(highest, known.max())
        kept = units[index]["passed"]
        colour = settings.templates_color_curated if kept else settings.templates_color_failed
        axes.plot(time_ms, height, color=colour, linewidth=0.9)
    if lowest <= highest:
        room = max(settings.templates_y_lim_buffer, 1e-3)
        axes.set_ylim(lowest - room, highest + room)
    for at_ms in (
        None if settings.templates_line_ms_before is None else -settings.templates_line_ms_before,
        settings.templates_line_ms_after,
    ):
        if at_ms is not None and time_ms.size and time_ms[0] <= at_ms <= time_ms[-1]:
            axes.axvline(at_ms, color="#888888", linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_yticks(
        [-row * settings.templates_y_spacing for row in range(len(column))],
        [str(units[index]["unit_id"]) for index in column],
        fontsize="xx-small",
        parse_math=False,
    )
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.tick_params(left=False)


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, parse_math=False)
    axes.set_ylabel(y, parse_math=False)
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
