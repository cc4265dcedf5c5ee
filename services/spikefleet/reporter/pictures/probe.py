"""Where a recording's channels are: positions in µm, every id that fits, bad channels marked.

Long probes are cut into stretches side by side, all at one scale, so that every contact keeps a
readable id. A recording without positions is refused: none are made up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.reporter.pictures.paper import (
    CONTACT,
    CONTACT_EDGE,
    INK,
    MARKS,
    POINTS_PER_INCH,
    STYLE,
    WIDEST_IN,
    head,
    legend,
    save,
    short_names,
)

_HIGHEST_IN, _GAP_IN = 8.2, 0.7
_LARGEST_CONTACT_PT = 26.0
_ROWS_PER_PANEL = 50
_MOST_PANELS = 8
_LONG = 3.0
_SMALLEST_TEXT_PT = 3.6


@dataclass(frozen=True)
class _Panel:
    """One stretch of one shank: the channels in it and the µm it spans."""

    channels: NDArray[np.int64]
    x_um: tuple[float, float]
    y_um: tuple[float, float]


def draw_probe_picture(
    recording: BaseRecording, title: str, bad_channels: Mapping[str, str], out: Path
) -> None:
    """Draw channel positions in µm with their ids; ``bad_channels`` (id -> why) are marked.

    Raises:
        InputCorruptError: ``no_geometry``: the recording does not say where its channels are.
    """
    if not recording.has_probe():
        raise InputCorruptError(
            "The recording does not say where its channels are. Put a probe.json beside it.",
            path=str(out),
            reason="no_geometry",
        )
    places = np.asarray(recording.get_channel_locations(), dtype=np.float64)[:, :2]
    groups = np.array([str(group) for group in recording.get_channel_groups()])
    ids = [str(channel) for channel in recording.channel_ids]
    panels, pitch_um = _panels(places, groups), _pitch(places, groups)
    um_per_in = _scale(panels, pitch_um)
    names = _together(short_names(ids), places, groups)
    text_pt = _text_size(names, pitch_um / um_per_in * POINTS_PER_INCH)
    marks = [bad_channels.get(name, "") for name in ids]
    with rc_context(STYLE):
        figure, axes = _lay_out(panels, um_per_in, legend=any(marks))
        for panel, axis in zip(panels, axes, strict=True):
            _draw_panel(axis, panel)
            _draw_contacts(axis, panel, places, marks, pitch_um)
            for channel in panel.channels:
                if text_pt or marks[channel]:
                    _name_contact(axis, places[channel], names[channel], marks[channel], text_pt)
        hidden = "" if text_pt else "; only marked ids are shown"
        n_shanks = len(set(groups))
        shanks = f" on {n_shanks} shanks" if n_shanks > 1 else ""
        said = f"{len(ids)} channels{shanks}, nearest {pitch_um:g} µm apart{hidden}"
        head(figure, f"{title}\n{said}")
        legend(figure, marks)
        save(figure, out)


def _panels(places: NDArray[np.float64], groups: NDArray[Any]) -> list[_Panel]:
    """Cut long shanks into stretches side by side; leave arrays as wide as long in one piece."""
    pitch = _pitch(places, groups)
    span = np.ptp(places, axis=0) + 2 * pitch
    if span[1] <= _LONG * span[0]:
        return [_panel(np.arange(len(places)), places, pitch)]
    shanks = [np.flatnonzero(groups == group) for group in sorted(set(groups))]
    shanks.sort(key=lambda channels: float(places[channels, 0].mean()))
    n_rows = max(np.unique(places[channels, 1].round(1)).size for channels in shanks)
    n_cuts = max(1, min(-(-n_rows // _ROWS_PER_PANEL), _MOST_PANELS // len(shanks)))
    panels = []
    for channels in shanks:
        order = channels[np.argsort(places[channels, 1], kind="stable")]
        levels = np.unique(places[order, 1].round(1))
        for piece in np.array_split(levels, min(n_cuts, levels.size)):
            inside = (places[order, 1] >= piece[0] - 0.1) & (places[order, 1] <= piece[-1] + 0.1)
            panels.append(_panel(order[inside], places, pitch))
    return panels


def _panel(channels: NDArray[np.int64], places: NDArray[np.float64], pitch: float) -> _Panel:
    low = places[channels].min(axis=0) - pitch
    high = places[channels].max(axis=0) + pitch
    return _Panel(channels, (float(low[0]), float(high[0])), (float(low[1]), float(high[1])))


def _pitch(places: NDArray[np.float64], groups: NDArray[Any]) -> float:
    """Return the median distance from a contact to its nearest neighbour elsewhere, in µm."""
    nearest = []
    for index in range(0, len(places), max(1, len(places) // 256)):
        same = places[groups == groups[index]]
        apart = np.hypot(*(same - places[index]).T)
        apart = apart[apart > 0.01]
        if apart.size:
            nearest.append(float(apart.min()))
    return round(float(np.median(nearest)), 1) if nearest else 20.0


def _scale(panels: Sequence[_Panel], pitch_um: float) -> float:
    """Return µm per inch: as large as the page allows, contacts no larger than their ids need."""
    tallest = max(panel.y_um[1] - panel.y_um[0] for panel in panels)
    widths = sum(panel.x_um[1] - panel.x_um[0] for panel in panels)
    room_in = WIDEST_IN - _GAP_IN * len(panels)
    return max(
        tallest / _HIGHEST_IN, widths / room_in, pitch_um * POINTS_PER_INCH / _LARGEST_CONTACT_PT
    )


def _lay_out(
    panels: Sequence[_Panel], um_per_in: float, *, legend: bool
) -> tuple[Figure, list[Axes]]:
    """Return a figure with one axes a panel, all at the same scale in µm per inch."""
    left_in, bottom_in, top_in = 0.65, 0.8 if legend else 0.5, 0.55
    widths = [(panel.x_um[1] - panel.x_um[0]) / um_per_in for panel in panels]
    heights = [(panel.y_um[1] - panel.y_um[0]) / um_per_in for panel in panels]
    width_in = max(4.4, left_in + sum(widths) + _GAP_IN * (len(panels) - 1) + 0.25)
    height_in = bottom_in + max(heights) + top_in
    figure = Figure(figsize=(width_in, height_in))
    axes, at_in = [], left_in
    for width, height in zip(widths, heights, strict=True):
        box = (at_in / width_in, bottom_in / height_in, width / width_in, height / height_in)
        axes.append(figure.add_axes(box))
        at_in += width + _GAP_IN
    return figure, axes


def _draw_panel(axis: Axes, panel: _Panel) -> None:
    axis.set_xlim(panel.x_um)
    axis.set_ylim(panel.y_um)
    axis.set_aspect("equal")
    axis.locator_params(axis="x", nbins=max(1, round(axis.bbox.width / 70)))
    axis.tick_params(labelsize=6.5, length=2.5)
    axis.set_xlabel("x (µm)", fontsize=7)
    axis.set_ylabel("y (µm)", fontsize=7, labelpad=2)
    axis.spines[["top", "right"]].set_visible(False)


def _draw_contacts(
    axis: Axes,
    panel: _Panel,
    places: NDArray[np.float64],
    marks: Sequence[str],
    pitch_um: float,
) -> None:
    """Draw a disc per contact, marked ones last so that nothing covers them."""
    order = sorted(panel.channels, key=lambda channel: bool(marks[channel]))
    size = np.full(len(order), 0.86 * pitch_um)
    axis.add_collection(
        EllipseCollection(
            size,
            size,
            np.zeros(len(order)),
            units="x",
            offsets=places[order],
            offset_transform=axis.transData,
            facecolors=[MARKS.get(marks[channel], CONTACT) for channel in order],
            edgecolors=[MARKS.get(marks[channel], CONTACT_EDGE) for channel in order],
            linewidths=0.4,
        )
    )


def _name_contact(
    axis: Axes, place: NDArray[np.float64], name: str, why: str, text_pt: float
) -> None:
    """Write an id on its contact, or beside it where only marked ones are named."""
    beside = not text_pt
    axis.annotate(
        name,
        (float(place[0]), float(place[1])),
        xytext=(4, 0) if beside else (0, -0.3),
        textcoords="offset points",
        ha="left" if beside else "center",
        va="center",
        fontsize=text_pt or 5.0,
        color=(MARKS[why] if beside else "white") if why else INK,
        fontweight="bold" if why else "normal",
    )


def _together(names: Sequence[str], places: NDArray[np.float64], groups: NDArray[Any]) -> list[str]:
    """Return names; channels in one place are all called by all their names ("12=57")."""
    shared: dict[tuple[Any, ...], list[str]] = {}
    keys = [(group, *place) for group, place in zip(groups, places.round(3).tolist(), strict=True)]
    for key, name in zip(keys, names, strict=True):
        shared.setdefault(key, []).append(name)
    return ["=".join(shared[key]) for key in keys]


def _text_size(names: Sequence[str], pitch_pt: float) -> float:
    """Return the size in points at which every id fits its contact, 0 where none is readable."""
    longest = max(len(name) for name in names)
    size = min(7.0, 0.8 * pitch_pt / max(0.62 * longest, 1.0))
    return size if size >= _SMALLEST_TEXT_PT else 0.0
