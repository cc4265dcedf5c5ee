"""Noise of the channels along the probe."""

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from tests.support.sorted_units import make_data, trough

from spikefleet.reporter.pictures.noise import draw_noise


def test_channels_far_from_the_middle_are_named_and_counted() -> None:
    data = make_data([[1]], np.stack([trough(0, 80.0, channels=5)]))
    data = replace(data, noise_uv=np.array([4.0, 5.0, 6.0, 50.0, np.nan]))
    figure = Figure()
    alt = draw_noise(figure, data, [], {})
    assert "Noise of 4 channels" in alt
    assert "5.5 µV in the middle (dashed), 4 to 50 µV. 1 channel far from it." in alt
    assert [text.get_text() for text in figure.axes[0].texts] == ["ch3"]


def test_without_noise_levels_there_is_nothing_to_draw() -> None:
    data = make_data([[1]], np.stack([trough(0, 80.0)]))
    assert draw_noise(Figure(), replace(data, noise_uv=np.full(2, np.nan)), [], {}) == ""
