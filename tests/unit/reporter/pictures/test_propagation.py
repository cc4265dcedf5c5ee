"""Maps of delays: which channels see a unit, when, and when there is nothing to show."""

import numpy as np
from matplotlib.figure import Figure
from tests.support.sorted_units import make_data

from spikefleet.reporter.pictures.propagation import delays_of, draw_propagation


def travelling(channels: int, frames_later: int = 2) -> np.ndarray:
    """A unit whose trough is two frames later and smaller on each next channel."""
    made = np.zeros((40, channels))
    for channel in range(channels):
        made[8 + channel * frames_later, channel] = -100.0 * (1.0 - 0.15 * channel)
    return made


def test_each_channels_delay_is_that_of_its_trough_after_the_largest() -> None:
    data = make_data([[1]], np.stack([travelling(5)]))
    seen, delays_ms, depths = delays_of(data, 0)
    assert seen.tolist() == [0, 1, 2, 3, 4]
    frames = delays_ms * data.sampling_rate_hz / 1000.0
    np.testing.assert_allclose(frames, [0, 2, 4, 6, 8], atol=1e-6)
    assert (np.diff(depths) < 0).all()


def test_a_channel_with_a_small_trough_does_not_see_the_unit() -> None:
    data = make_data([[1]], np.stack([travelling(7)]))
    seen, _, _ = delays_of(data, 0)
    assert 6 not in seen.tolist()


def test_the_maps_name_units_and_the_longest_delay() -> None:
    data = make_data([[1]], np.stack([travelling(5)]))
    figure = Figure(figsize=(10.5, 2.2))
    alt = draw_propagation(figure, data, [{"unit_id": "u$1"}], {})
    assert figure.axes[0].get_title(loc="left") or figure.axes[0].get_title() == "u$1"
    assert "Delays of 1 unit" in alt
    assert f"up to {8 / data.sampling_rate_hz * 1000:.2g} ms" in alt


def test_a_unit_that_few_channels_see_has_no_map() -> None:
    data = make_data([[1]], np.stack([travelling(3)]))
    assert draw_propagation(Figure(), data, [{"unit_id": "a"}], {}) == ""
