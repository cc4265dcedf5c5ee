"""The strip of the recording with its spikes."""

import numpy as np
from matplotlib.figure import Figure
from tests.support.sorted_units import RATE_HZ, make_data, trough

from spikefleet.reporter.pictures.strips import draw_strip
from spikefleet.signal.units.strip import Strip


def test_spikes_in_the_strip_are_coloured_on_their_units_largest_channel() -> None:
    data = make_data([[1050, 5000], [1080], [1090]], np.stack([trough(0, 80.0)] * 3))
    units = [
        {"unit_id": f"u{i}", "passed": i == 0, "channel_id": channel}
        for i, channel in enumerate(("ch0", "ch1", "elsewhere"))
    ]
    noise = np.random.default_rng(0).normal(0, 5, (100, 2))
    strip = Strip(1000, 0.1, RATE_HZ, ("ch0", "ch1"), noise * 3, noise)
    figure = Figure()
    alt = draw_strip(figure, strip, data, units)
    assert alt.startswith("10 ms at 0.100 s on 2 channels")
    assert "2 spikes of 2 units" in alt
    left, right = figure.axes
    assert len(left.lines) == 2
    traces, marks = right.lines[:2], right.lines[2:]
    assert [mark.get_color() for mark in marks] == ["#3b82c4", "#c98a8a"]
    at_ms = [float(np.mean(np.asarray(mark.get_xdata(), float))) for mark in marks]
    assert np.allclose(at_ms, [5.0, 8.0])
    drawn = np.asarray(traces[1].get_ydata(), float)
    middle = np.asarray(marks[1].get_ydata(), float)
    assert np.allclose(middle, drawn[75:86])


def test_long_names_of_channels_are_shown_by_what_tells_them_apart() -> None:
    data = make_data([[1]], np.stack([trough(0, 80.0)]))
    names = ("imec0.ap#AP9", "imec0.ap#AP10")
    strip = Strip(0, 0.0, RATE_HZ, names, np.zeros((10, 2)), np.zeros((10, 2)))
    figure = Figure()
    draw_strip(figure, strip, data, [{"channel_id": "x"}])
    shown = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert all(len(name) < len("imec0") + 1 for name in shown)
    assert len(set(shown)) == 2


def test_a_flat_strip_is_drawn_flat() -> None:
    data = make_data([[1]], np.stack([trough(0, 80.0)]))
    strip = Strip(0, 0.0, RATE_HZ, ("ch0",), np.zeros((10, 1)), np.zeros((10, 1)))
    assert "0 spikes of 0 units" in draw_strip(Figure(), strip, data, [{"channel_id": "x"}])
