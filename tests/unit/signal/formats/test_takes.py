from pathlib import Path

import pytest

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.formats.takes import Take, name_takes, part_takes

HERE = Path("day1.ns5")


def test_a_clock_that_runs_on_is_one_take_however_much_is_missing():
    takes = part_takes([(100, 5), (300, 10**9)], 1000, 7, HERE)
    assert takes == (Take(0, 1000, 7, ((100, 5), (300, 10**9))),)
    assert list(name_takes("ns5", takes)) == ["ns5"]


def test_every_step_back_begins_a_take_with_the_clock_it_was_set_to():
    takes = part_takes([(10, 4), (100, -114), (150, 3)], 1000, 0, HERE)
    assert takes == (Take(0, 100, 0, ((10, 4),)), Take(100, 900, -10, ((50, 3),)))
    assert list(name_takes("ns5", takes)) == ["ns5/take0", "ns5/take1"]


def test_a_clock_that_only_runs_back_is_no_clock():
    jumps = [(frame, -2) for frame in range(1, 500)]
    with pytest.raises(InputCorruptError) as caught:
        part_takes(jumps, 500, 1000, HERE)
    assert caught.value.reason == "clock"
