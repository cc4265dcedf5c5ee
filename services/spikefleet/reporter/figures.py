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

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spikefleet.core.text import counted
from spikefleet.reporter.palette import ACCENT, BAD, GRID, INK, MUTED, PANEL, VARIABLES
from spikefleet.reporter.pictures.attempts import try_to_draw
from spikefleet.reporter.pictures.margins import Margins, place_panels
from spikefleet.reporter.pictures.waveforms import draw_templates, grid_rows
from spikefleet.signal.units.unit_data import FloatArray, IntArray, UnitData

_SPIKE = "#3b82c4"  # spikes become pixels, which no style sheet can recolour: right on both grounds
_SPIKE_REJECTED = "#c98a8a"
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
_RASTER_SPIKES = 150_000
_BINS = 20
_PROBE_HEIGHT_IN = 5.4
_NAMED_UNITS = 40  # more names than that cannot be read
_RASTER_MARGINS = Margins(left=0.8, right=0.15, bottom=0.5, top=0.1, rows=0.12)
_HISTOGRAM_MARGINS = Margins(left=0.75, right=0.15, bottom=0.5, top=0.1, columns=0.8, rows=0.6)

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


def _by_depth(units: Sequence[Unit]) -> list[int]:
    """Indices of units from the bottom of the probe to its top."""
    return sorted(range(len(units)), key=lambda i: (units[i].get("y_um") or 0.0, i))


def _draw_raster(
    figure: Figure, data: UnitData, units: Sequence[Unit], _curation: Mapping[str, Any]
) -> str:
    """Spikes of every unit over time, lowest on the probe first, above the population rate."""
    if data.spike_samples.size == 0 or data.duration_s <= 0:
        return ""
    place_panels(figure, 2, 1, _RASTER_MARGINS)
    grid = figure.add_gridspec(2, 1, height_ratios=(3, 1))
    top = figure.add_subplot(grid[0])
    bottom = figure.add_subplot(grid[1], sharex=top)
    rank = np.empty(len(units), dtype=np.int64)
    rank[_by_depth(units)] = np.arange(len(units))
    times = data.original_samples / data.sampling_rate_hz
    passed = np.array([bool(u["passed"]) for u in units])[data.spike_units]
    step = max(1, times.size // _RASTER_SPIKES)
    size = float(np.clip(420 / len(units), 2.0, 60.0))
    for chosen, colour in ((~passed, _SPIKE_REJECTED), (passed, _SPIKE)):
        top.scatter(
            times[chosen][::step],
            rank[data.spike_units[chosen]][::step],
            s=size,
            marker="|",
            linewidths=0.7,
            color=colour,
            rasterized=True,
        )
    top.set_ylabel("unit, by y")
    top.set_ylim(-0.7, len(units) - 0.3)
    _name_rows(top, [str(units[i]["unit_id"]) for i in _by_depth(units)])
    bins = int(np.clip(data.duration_s, 30, 300))
    windows_s = _windows_s(data)
    first_s, last_s = windows_s[0, 0], windows_s[-1, 1]
    counts, edges = np.histogram(times[passed], bins=bins, range=(first_s, last_s))
    rate_hz = _rates_hz(counts, edges, windows_s)
    bottom.stairs(rate_hz, edges, color=ACCENT, alpha=0.3, fill=True, linewidth=0)
    bottom.stairs(rate_hz, edges, color=ACCENT, linewidth=1)
    bottom.set_ylim(0, max(1.0, float(rate_hz.max()) * 1.1))
    seams_s = _seams_s(data)
    for axes in (top, bottom):
        for seam_s in seams_s:
            axes.axvline(seam_s, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), alpha=0.6)
        for gap_s in zip(windows_s[:-1, 1], windows_s[1:, 0], strict=True):
            axes.axvspan(*gap_s, color=GRID, alpha=0.5, linewidth=0)
    bottom.set_xlim(first_s, last_s)
    bottom.set_ylabel("spikes/s")
    bottom.set_xlabel("time (s)")
    mean_hz = passed.sum() / data.duration_s
    gaps = " Grey: not sorted." if len(windows_s) > 1 else ""
    gaps += " Dashed: where the next recording begins." if seams_s else ""
    return (
        f"Raster of {counted(len(units), 'unit')} over {data.duration_s:.0f} s, with the summed "
        f"rate of the curated units, {mean_hz:.3g} spikes per second on average.{gaps}"
    )


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Write the unit's name at each row, where there is room for all."""
    axes.tick_params(labelbottom=False, left=False, labelleft=len(names) <= _NAMED_UNITS)
    if len(names) <= _NAMED_UNITS:
        size = float(np.clip(150 / len(names), 5.0, 8.5))
        axes.set_yticks(range(len(names)), names, fontsize=size, parse_math=False)


def _seams_s(data: UnitData) -> list[float]:
    """Where the next of several recordings begins, in seconds of the recording."""
    if data.timeline is None:
        return []
    return [end / data.sampling_rate_hz for _, end in data.timeline.file_bounds[:-1]]


def _windows_s(data: UnitData) -> FloatArray:
    """The stretches that were sorted, (windows, start and end) in seconds of the recording."""
    if data.timeline is None:
        return np.array([[0.0, data.duration_s]])
    return np.array(data.timeline.kept, dtype=np.float64) / data.sampling_rate_hz


def _rates_hz(counts: IntArray, edges: FloatArray, windows_s: FloatArray) -> FloatArray:
    """Counts over the sorted time in each bin; 0 in a bin of which nothing was sorted."""
    low, high = windows_s[:, :1], windows_s[:, 1:]
    overlap_s = np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1])
    sorted_s = np.clip(overlap_s, 0.0, None).sum(axis=0)
    rates_hz: FloatArray = np.zeros(len(counts))
    np.divide(counts, sorted_s, out=rates_hz, where=sorted_s > 0)
    return rates_hz


def _draw_probe(
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
        if len(units) <= _NAMED_UNITS and np.isfinite([at_x, at_y]).all():
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


def _draw_histograms(
    figure: Figure, _data: UnitData, units: Sequence[Unit], curation: Mapping[str, Any]
) -> str:
    """Amplitude, SNR, refractory violations and rate; dashed lines are the thresholds."""
    hill = (curation.get("parameters") or {}).get("isi_violation_method") == "hill"
    isi = ("isi_hill", "violations (Hill ratio)") if hill else ("isi_percent", "violations/spikes")
    panels = (
        ("amplitude_uv", "amplitude (µV)"),
        ("snr", "SNR"),
        isi,
        ("firing_rate_hz", "firing rate (Hz)"),
    )
    place_panels(figure, 2, 2, _HISTOGRAM_MARGINS)
    bounds = {s["metric"]: float(s["bound"]) for s in curation.get("steps") or []}
    for axes, (metric, label) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        _draw_histogram(axes, units, metric, bounds.get(metric))
        axes.set_xlabel(label)
    dashed = " Dashed lines are the curation thresholds." if bounds else ""
    return "Histograms over units of " + ", ".join(label for _, label in panels) + f".{dashed}"


def _draw_histogram(axes: Axes, units: Sequence[Unit], metric: str, bound: float | None) -> None:
    groups = []
    for wanted in (True, False):
        values = [u.get(metric) for u in units if bool(u["passed"]) is wanted]
        groups.append(np.array([v for v in values if v is not None], dtype=float))
    everything = np.concatenate([*groups, [] if bound is None else [bound]])
    top = float(everything.max()) if everything.size else 1.0
    edges = np.linspace(0.0, top * 1.05 if top > 0 else 1.0, _BINS + 1)
    axes.hist(groups, bins=edges.tolist(), stacked=True, color=[ACCENT, BAD], alpha=0.8, rwidth=0.9)
    if bound is not None:
        axes.axvline(bound, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    axes.locator_params(axis="x", nbins=4)
    axes.set_ylabel("units")


def _probe_height_in(data: UnitData, _units: Sequence[Unit]) -> float:
    """As high as the contacts need at equal scales, so that a square array has no empty margin."""
    where = data.channel_locations_um
    width_um, height_um = np.ptp(where, axis=0) if where.size else (0.0, 0.0)
    if width_um <= 0 or height_um / width_um > 1.6:
        return _PROBE_HEIGHT_IN
    return float(np.clip(0.9 + 3.1 * height_um / width_um, 2.6, _PROBE_HEIGHT_IN))


def _draw_curation(
    figure: Figure, _data: UnitData, units: Sequence[Unit], curation: Mapping[str, Any]
) -> str:
    """How many units each criterion left."""
    steps = curation.get("steps") or []
    if not steps:
        return ""
    names = ["sorted", *(_criterion(s) for s in steps)]
    left = np.array([len(units), *(int(s["n_left"]) for s in steps)])
    lost = np.array([0, *(int(s["n_failed"]) for s in steps)])
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    position = np.arange(len(names))
    axes.barh(position, left, color=ACCENT, alpha=0.85, height=0.62)
    axes.barh(position, lost, left=left, color=BAD, alpha=0.55, height=0.62)
    for y, (kept, dropped) in enumerate(zip(left, lost, strict=True)):
        text = f"{kept}" if dropped == 0 else f"{kept}  (−{dropped})"
        axes.text(kept + dropped + len(units) * 0.015, y, text, va="center", fontsize=9)
    axes.set_yticks(position, names)
    axes.invert_yaxis()
    axes.set_xlim(0, len(units) * 1.14)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(left=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("units")
    return f"{left[0]} sorted units, {left[-1]} left after {len(steps)} curation criteria."


_CRITERIA: Mapping[str, str] = {
    "spike_count": "spikes",
    "firing_rate_hz": "rate (Hz)",
    "isi_percent": "ISI violations",
    "isi_hill": "ISI violations",
    "snr": "SNR",
    "std_norm": "spread",
}


def _criterion(step: Mapping[str, Any]) -> str:
    sign = "≥" if step["at_least"] else "≤"
    return f"{_CRITERIA.get(str(step['metric']), step['metric'])} {sign} {step['bound']:g}"


_Draw = Callable[[Figure, UnitData, Sequence[Unit], Mapping[str, Any]], str]
_Height = Callable[[UnitData, Sequence[Unit]], float]
_Row = tuple[str, str, float, _Height, _Draw]
_FIGURES: tuple[_Row, ...] = (
    ("raster", "Activity", 10.5, lambda _d, units: 3.2 + min(2.0, len(units) / 60), _draw_raster),
    ("probe", "Where the units are", 4.6, _probe_height_in, _draw_probe),
    ("metrics", "Unit quality", 6.2, lambda _d, _units: 5.4, _draw_histograms),
    ("templates", "Waveforms", 10.5, lambda _d, u: 0.4 + 1.25 * grid_rows(u), draw_templates),
    ("curation", "Curation", 10.5, lambda _d, _units: 2.6, _draw_curation),
)
