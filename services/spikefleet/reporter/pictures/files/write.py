"""Writes the summary figures of a run as PNG files, where the run's settings ask for them.

A file is at most 2 MB: where the resolution that was asked for makes a larger one it is halved, and
the report tells it. The same units and settings give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spikefleet.core.config.products import FiguresConfig
from spikefleet.reporter.pictures.attempts import try_to_draw
from spikefleet.reporter.pictures.files.summary import draw_all_templates, draw_bars, draw_scatter
from spikefleet.reporter.pictures.files.units_by_recording import units_by_recording
from spikefleet.signal.units.unit_data import UnitData

FIGURES_FOLDER = "figures"
BARS, SCATTER, TEMPLATES = (
    "curation_bar_plot.png",
    "std_scatter_plot.png",
    "all_templates_plot.png",
)
MOST_BYTES = 2_000_000
_DEFAULT_DPI = 100
_MOST_PIXELS = 12_000_000
_COLUMN_WIDTH_IN, _ROW_HEIGHT_IN, _MOST_WIDTH_IN, _MOST_HEIGHT_IN = 3.2, 0.22, 48.0, 24.0

Unit = Mapping[str, Any]


def write_figures(
    folder: Path,
    data: UnitData,
    record: Mapping[str, Any],
    settings: FiguresConfig,
    notes: list[str],
) -> tuple[str, ...]:
    """Draw the summary figures below ``folder`` and return their names, relative to it.

    A figure that cannot be drawn fails no other: ``notes`` gets a sentence that says why.
    """
    units: Sequence[Unit] = record["units"]
    steps = record["curation"].get("steps") or []
    bounds = {str(step["metric"]): float(step["bound"]) for step in steps}
    recordings = units_by_recording(data, units, str(record["rec_name"]))
    wide = min(_MOST_WIDTH_IN, max(6.4, 1.2 * len(recordings)))
    rows = min(len(units), settings.templates_per_column)
    columns = -(-len(units) // settings.templates_per_column)
    tall = min(_MOST_HEIGHT_IN, max(3.0, 1.0 + rows * _ROW_HEIGHT_IN))
    broad = min(_MOST_WIDTH_IN, max(4.8, columns * _COLUMN_WIDTH_IN))
    drawings: tuple[tuple[str, tuple[float, float], Callable[[Figure], None]], ...] = (
        (
            BARS,
            (wide, 4.8),
            partial(draw_bars, recordings=recordings, units=units, steps=steps, settings=settings),
        ),
        (
            SCATTER,
            (6.4, 4.8),
            partial(
                draw_scatter, recordings=recordings, units=units, bounds=bounds, settings=settings
            ),
        ),
        (
            TEMPLATES,
            (broad, tall),
            partial(draw_all_templates, data=data, units=units, settings=settings),
        ),
    )
    written = []
    for name, size_in, draw in drawings:
        drawn = partial(_draw, name, size_in, draw, settings, notes)
        picture = try_to_draw(f'figure "{name}"', notes, drawn)
        if picture is not None:
            (folder / FIGURES_FOLDER).mkdir(exist_ok=True)
            (folder / FIGURES_FOLDER / name).write_bytes(picture)
            written.append(f"{FIGURES_FOLDER}/{name}")
    return tuple(written)


def _draw(
    name: str,
    size_in: tuple[float, float],
    draw: Callable[[Figure], None],
    settings: FiguresConfig,
    notes: list[str],
) -> bytes:
    """Draw one figure and return its PNG."""
    with rc_context({"font.size": settings.font_size}):
        figure = Figure(figsize=size_in, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        asked = settings.dpi or _DEFAULT_DPI
        most = int((_MOST_PIXELS / (size_in[0] * size_in[1])) ** 0.5)
        dpi = min(asked, most)
        picture = _to_png(figure, dpi)
        while len(picture) > MOST_BYTES and dpi > 20:
            dpi //= 2
            picture = _to_png(figure, dpi)
    if dpi < asked:
        notes.append(f"{name} has {dpi} dots per inch: at {asked} it would be too large.")
    return picture


def _to_png(figure: Figure, dpi: int) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, dpi=dpi, format="png", metadata={"Software": None})
    return stream.getvalue()
