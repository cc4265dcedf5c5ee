"""Units of each recording, of one and of several that were sorted as one."""

from dataclasses import replace

import numpy as np
from tests.support.summary_units import make_units

from spikefleet.reporter.pictures.files.units_by_recording import units_by_recording
from spikefleet.signal.preparing.timeline import FileSpan, Timeline


def test_a_recording_alone_has_every_unit_with_all_its_spikes() -> None:
    data, units = make_units()
    (alone,) = units_by_recording(data, units, "slice")
    assert alone.name == "slice"
    assert alone.spikes.tolist() == [200, 10, 90]  # as the record says


def test_each_of_several_has_the_units_that_fire_in_it_with_their_spikes_there() -> None:
    data, units = make_units()
    files = (FileSpan("a", 350), FileSpan("b", 99_650))
    joined = replace(data, timeline=Timeline(10_000.0, files, ((0, 100_000),)))
    first, second = units_by_recording(joined, units, "both")
    assert (first.name, second.name) == ("a", "b")
    assert np.array_equal(first.indices, [0, 1])
    assert first.spikes.tolist() == [2, 1]
    assert (second.indices.tolist(), second.spikes.tolist()) == ([2], [3])
