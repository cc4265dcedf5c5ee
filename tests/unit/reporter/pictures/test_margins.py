"""Fixed margins: panels lie where they were meant to, and every label is inside the figure."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tests.support.sorted_units import make_data, trough

from spikefleet.reporter import figures
from spikefleet.reporter.pictures.curation_charts import draw_histograms
from spikefleet.reporter.pictures.margins import Margins, place_panels
from spikefleet.signal.units.quality import measure_units


def test_panels_lie_within_their_margins():
    figure = Figure(figsize=(10.0, 5.0))
    place_panels(figure, 2, 3, Margins(1.0, 0.5, 0.5, 0.25, columns=0.5, rows=1.0))
    panels = figure.subplots(2, 3)
    corners = [panel.get_position() for panel in (panels[1][0], panels[0][2])]
    assert (corners[0].x0 * 10, corners[0].y0 * 5) == pytest.approx((1.0, 0.5))
    assert (corners[1].x1 * 10, corners[1].y1 * 5) == pytest.approx((9.5, 4.75))
    assert (panels[0][1].get_position().x0 - panels[0][0].get_position().x1) * 10 == pytest.approx(
        0.5
    )


def test_long_numbers_stay_inside_the_figure(monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "_to_svg", lambda figure, name: drawn.append(figure) or name)
    templates = np.stack([trough(0, 20_000.0), trough(1, 3.0)])
    data = make_data([sorted(range(0, 90_000, 1)), [5, 60_000]], templates)
    units = [unit.to_json() | {"passed": True, "failed_on": ""} for unit in measure_units(data)]
    units *= 12_000  # counts of five digits on the axes of the histograms
    figures.draw_all(data, units[:2], {}, [])
    raster, _probe, _metrics, grid, *_ = drawn
    draw_histograms(many := Figure(figsize=(6.2, 5.4)), data, units, {})
    for figure in (raster, grid, many):
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
        whole, shown = figure.bbox_inches, figure.get_tightbbox()
        assert shown.x0 >= -0.02
        assert shown.y0 >= -0.02
        assert shown.x1 <= whole.x1 + 0.02
        assert shown.y1 <= whole.y1 + 0.02
