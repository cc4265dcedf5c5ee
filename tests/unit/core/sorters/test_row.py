"""What a row answers beside holding facts."""

import pytest

from spikefleet.core.sorters.catalogue import BACKENDS, backend_of
from spikefleet.core.sorters.row import BatchKnob, rule

KNOB = BatchKnob("batch_size", 60_000, 1024)


@pytest.mark.parametrize(
    ("given", "samples"),
    [({}, 60_000), ({"batch_size": 30_000}, 30_000), ({"batch_size": 20_000.0}, 20_000)],
)
def test_a_batch_is_as_long_as_it_was_set(given, samples):
    assert KNOB.samples(given) == samples


@pytest.mark.parametrize("value", [None, 0, -1, True, "many"])
def test_what_sets_no_batch_leaves_the_default(value):
    assert KNOB.samples({"batch_size": value}) == 60_000


def test_a_progress_rule_knows_whether_it_counts_spikes():
    assert rule(r"(?P<spikes>\d+) spikes", "", 0.0).spikes_group
    assert not rule(r"^detect", "detect", 0.1).spikes_group


def test_a_sorter_that_is_not_here_has_a_row_without_demands():
    row = backend_of("from_the_future")
    assert "from_the_future" not in BACKENDS
    assert (row.name, row.min_channels, row.uses_gpu) == ("from_the_future", 1, False)
    assert row.batch is None
