import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spikeinterface.core import NumpyRecording

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.formats.frame_gaps import (
    find_jumps,
    note_frame_gaps,
    require_unique_ids,
)


class CountedReads:
    """Frame numbers that count how many of them were looked at."""

    def __init__(self, numbers):
        self.numbers, self.n_read = numbers, 0

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        found = self.numbers[index]
        self.n_read += np.size(found)
        return found


@settings(max_examples=60, deadline=None)
@given(
    n_entries=st.integers(2, 20_000),
    places=st.dictionaries(st.integers(1, 19_999), st.integers(1, 10**6), max_size=8),
    step=st.sampled_from([1, 128, 1024]),
)
def test_every_gap_is_found_where_it_is(n_entries, places, step):
    steps = np.full(n_entries, step)
    kept = {at: missing for at, missing in places.items() if at < n_entries}
    for at, missing in kept.items():
        steps[at] += missing
    found = find_jumps(np.cumsum(steps), frames_per_entry=step)
    assert found == [(at * step, missing) for at, missing in sorted(kept.items())]


def test_an_unbroken_recording_is_not_read_through():
    numbers = CountedReads(np.arange(10**6))
    assert find_jumps(numbers) == []
    assert numbers.n_read == 2


def test_one_gap_in_a_long_recording_is_found_with_few_looks():
    numbers = np.arange(10**6)
    numbers[777_777:] += 5
    counted = CountedReads(numbers)
    assert find_jumps(counted) == [(777_777, 5)]
    assert counted.n_read < 3000


def test_numbers_that_go_back_are_found_as_a_jump_back():
    assert find_jumps(np.array([0, 1, 2, 2, 3, 0, 1])) == [(3, -1), (5, -4)]


@pytest.mark.parametrize("numbers", [[], [7]])
def test_fewer_than_two_entries_have_no_gap(numbers):
    assert find_jumps(np.array(numbers)) == []


def test_a_recording_says_how_many_frames_it_lost_and_where():
    recording = NumpyRecording([np.zeros((10, 1), dtype="int16")], 30_000.0)
    note_frame_gaps(recording, [[3, 40], [7, 2]])
    assert recording.get_annotation("dropped_frames") == 42
    assert recording.get_annotation("frame_gaps") == [[3, 40], [7, 2]]


def test_names_given_twice_are_listed(tmp_path):
    require_unique_ids(["a", "b"], tmp_path)
    with pytest.raises(InputCorruptError, match="b"):
        require_unique_ids(["a", "b", "b"], tmp_path)
