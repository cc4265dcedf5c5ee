"""What the pictures share: type, colours, headings, legends, and writing them to disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

INK, MUTED, CONTACT, CONTACT_EDGE = "#1f2430", "#6b7280", "#dbe7f3", "#9db4cc"
# Why a channel is marked -> its colour; told apart in print and with any colour vision.
MARKS = {
    "shares a place": "#8e44ad",
    "never changes": "#4b5563",
    "at a rail": "#d97706",
    "not a number": "#c0262d",
}
STYLE = {
    "font.family": "sans-serif",
    "font.size": 8.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "figure.facecolor": "white",
}
POINTS_PER_INCH = 72.0
WIDEST_IN = 9.5
_DPI = 200


def short_names(ids: Sequence[str]) -> list[str]:
    """Return ids without the beginning that all of them share ("imec0.ap#AP17" -> "17")."""
    if len(ids) < 2:
        return list(ids)
    first, last = min(ids), max(ids)
    alike = (ours == theirs for ours, theirs in zip(first, last, strict=False))
    shared = first[: sum(takewhile(bool, alike))].rstrip("0123456789")
    return [name[len(shared) :] or name for name in ids]


def head(figure: Figure, text: str) -> None:
    """Write the title and what is shown, at the top left."""
    top = 1 - 0.06 / float(figure.get_figheight())
    figure.text(0.02, top, text, ha="left", va="top", fontsize=8.5, linespacing=1.35)


def legend(figure: Figure, marks: Sequence[str]) -> None:
    """Explain the colours that occur, with how many channels have each."""
    said = [why for why in MARKS if why in marks]
    if not said:
        return
    handles = [Line2D([], [], color=MARKS[why], marker="o", linestyle="none") for why in said]
    labels = [f"{why} ({list(marks).count(why)})" for why in said]
    figure.legend(
        handles, labels, loc="lower left", ncols=len(said), fontsize=7, frameon=False, borderpad=0.2
    )


def save(figure: Figure, out: Path) -> None:
    """Write the picture whole or not at all."""
    FigureCanvasAgg(figure)
    out.parent.mkdir(parents=True, exist_ok=True)
    building = out.with_name(f".{out.name}.part")
    try:
        figure.savefig(building, format="png", dpi=_DPI, metadata={"Software": "spikefleet"})
        os.replace(building, out)
    finally:
        building.unlink(missing_ok=True)
