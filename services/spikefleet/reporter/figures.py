"""The report's figures, drawn once as SVG.

Colours are placeholders that become CSS variables of the page, so one drawing serves light and
dark. The same units give the same bytes: no clock, no random ids. A figure that has nothing to
show is not drawn.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from spikefleet.reporter.palette import INK, MUTED, VARIABLES
from spikefleet.reporter.pictures.attempts import try_to_draw
from spikefleet.reporter.pictures.curation_charts import draw_curation, draw_histograms
from spikefleet.reporter.pictures.drift import draw_drift
from spikefleet.reporter.pictures.noise import draw_noise
from spikefleet.reporter.pictures.propagation import draw_propagation, rows_of_maps
from spikefleet.reporter.pictures.raster import draw_raster
from spikefleet.reporter.pictures.strips import draw_strip
from spikefleet.reporter.pictures.unit_map import draw_unit_map, map_height_in
from spikefleet.reporter.pictures.verdicts import draw_verdicts
from spikefleet.reporter.pictures.waveforms import draw_templates, grid_rows
from spikefleet.signal.units.strip import Strip
from spikefleet.signal.units.unit_data import UnitData

_STYLE = {
    "svg.fonttype": "none",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "figure.dpi": 160,  # of what is drawn as pixels
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}

Unit = Mapping[str, Any]


@dataclass(frozen=True)
class Drawing:
    """One figure: ``svg`` stands inline in the page, ``alt`` says what it shows."""

    name: str
    title: str
    svg: str
    alt: str


def draw_all(
    data: UnitData, units: Sequence[Unit], curation: Mapping[str, Any], notes: list[str]
) -> list[Drawing]:
    """Draw every figure that has something to show. ``units`` are rows of the record.

    A figure that cannot be drawn fails no other: ``notes`` gets a sentence that says why.
    """
    if not units:
        return []
    drawn = (
        try_to_draw(f'figure "{row[1]}"', notes, partial(_draw_one, row, data, units, curation))
        for row in _FIGURES
    )
    return [drawing for drawing in drawn if drawing is not None]


def draw_recording(
    strip: Strip, data: UnitData, units: Sequence[Unit], notes: list[str]
) -> Drawing | None:
    """Draw the strip of the recording that the sort left, with the units' spikes in it."""

    def draw(figure: Figure, *_: object) -> str:
        return draw_strip(figure, strip, data, units)

    height_in = 0.9 + 0.3 * len(strip.channel_ids)
    row: _Row = ("strip", "The recording", 10.5, lambda _d, _u: height_in, draw)
    return try_to_draw('figure "The recording"', notes, partial(_draw_one, row, data, units, {}))


def _draw_one(
    row: _Row, data: UnitData, units: Sequence[Unit], curation: Mapping[str, Any]
) -> Drawing | None:
    """Return one figure; None where it has nothing to show."""
    name, title, width_in, height_in, draw = row
    with rc_context(_STYLE):
        figure = Figure(figsize=(width_in, height_in(data, units)))
        alt = draw(figure, data, units, curation)
        return Drawing(name, title, _to_svg(figure, name), alt) if alt else None


def _to_svg(figure: Figure, name: str) -> str:
    """Return an inline SVG whose ids are unique on the page and whose colours follow it."""
    FigureCanvasAgg(figure)  # knows how large letters are
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
    # Not ``savefig``: it lays out and draws twice, to learn what the layout above has settled.
    text = io.StringIO()
    with rc_context({"svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"font: (?:(bold|\d{3}) )?([\d.]+px)[^;\"]*", _font, svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', _root, svg, count=1, flags=re.DOTALL)
    return svg.strip()


def _font(match: re.Match[str]) -> str:
    weight = f"; font-weight: {match[1]}" if match[1] else ""
    return f"font-size: {match[2]}{weight}"


def _root(match: re.Match[str]) -> str:
    return (
        f'<svg viewBox="{match[1]}" aria-hidden="true" focusable="false" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )


_Draw = Callable[[Figure, UnitData, Sequence[Unit], Mapping[str, Any]], str]
_Height = Callable[[UnitData, Sequence[Unit]], float]
_Row = tuple[str, str, float, _Height, _Draw]
_FIGURES: tuple[_Row, ...] = (
    ("raster", "Activity", 10.5, lambda _d, units: 3.2 + min(2.0, len(units) / 60), draw_raster),
    ("probe", "Where the units are", 4.6, map_height_in, draw_unit_map),
    ("metrics", "Unit quality", 6.2, lambda _d, _units: 5.4, draw_histograms),
    ("templates", "Waveforms", 10.5, lambda _d, u: 0.4 + 1.25 * grid_rows(u), draw_templates),
    (
        "propagation",
        "How spikes travel",
        10.5,
        lambda data, units: 0.4 + 1.75 * rows_of_maps(data, units),
        draw_propagation,
    ),
    ("curation", "Curation", 10.5, lambda _d, _units: 2.6, draw_curation),
    ("scatter", "Curated and rejected", 5.4, lambda _d, _units: 3.6, draw_verdicts),
    ("noise", "Noise of the channels", 5.4, lambda _d, _units: 3.6, draw_noise),
    ("drift", "Drift", 10.5, lambda _d, _units: 3.8, draw_drift),
)
