"""Curated and rejected units in one scatter."""

import numpy as np
from matplotlib.figure import Figure
from tests.support.summary_units import STEPS, make_units

from spikefleet.reporter.pictures.verdicts import draw_verdicts


def test_kept_units_are_full_rejected_ones_hollow_and_thresholds_are_lines() -> None:
    data, units = make_units()
    figure = Figure()
    alt = draw_verdicts(figure, data, units, {"steps": STEPS})
    kept, rejected = figure.axes[0].collections
    assert np.asarray(kept.get_offsets()).tolist() == [[200.0, 0.2]]
    assert np.asarray(rejected.get_offsets()).tolist() == [[10.0, 0.4], [90.0, 1.5]]
    assert len(rejected.get_facecolors()) == 0
    assert [line.get_xdata()[0] for line in figure.axes[0].lines] == [30.0, 0]
    assert "1 curated units and 2 rejected ones" in alt


def test_units_without_a_spread_are_not_made_up() -> None:
    data, units = make_units()
    assert draw_verdicts(Figure(), data, [u | {"std_norm": None} for u in units], {}) == ""
