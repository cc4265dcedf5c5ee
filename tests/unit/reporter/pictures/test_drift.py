"""Places of spikes over time."""

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from tests.support.sorted_units import make_data, trough

from spikefleet.reporter.pictures.drift import draw_drift
from spikefleet.signal.preparing.timeline import FileSpan, Timeline


def test_every_spike_is_at_its_place_and_time_and_the_largest_is_on_top() -> None:
    data = make_data([[1000, 3000], [50_000]], np.stack([trough(0, 80.0), trough(1, 40.0)]))
    places = np.array([[0.0, 10.0], [0.0, np.nan], [0.0, 30.0]])
    data = replace(
        data, spike_locations_um=places, spike_amplitudes_uv=np.array([-90.0, -85.0, -40.0])
    )
    figure = Figure()
    alt = draw_drift(figure, data, [], {})
    assert alt.startswith("Where 2 spikes of all units are along y over time, each")
    points = np.asarray(figure.axes[0].collections[0].get_offsets())
    assert points.tolist() == [[5.0, 30.0], [0.1, 10.0]]


def test_times_are_those_of_the_recording() -> None:
    data = make_data([[1000]], np.stack([trough(0, 80.0)]))
    files = (FileSpan("a", 50_000), FileSpan("b", 200_000))
    cut = Timeline(10_000.0, files, ((100_000, 200_000),))
    data = replace(data, spike_locations_um=np.array([[0.0, 5.0]]), timeline=cut)
    figure = Figure()
    draw_drift(figure, data, [], {})
    assert np.asarray(figure.axes[0].collections[0].get_offsets())[0, 0] == 10.1
    assert figure.axes[0].lines[0].get_xdata()[0] == 5.0  # where the next recording begins


def test_without_places_there_is_nothing_to_draw() -> None:
    data = make_data([[1000]], np.stack([trough(0, 80.0)]))
    assert draw_drift(Figure(), data, [], {}) == ""
