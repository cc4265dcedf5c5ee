from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.recordings.windows import keep_frames, spread_frames


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ((0, 60_000),)),
        ({"first_n_mins": 0.01}, ((0, 600),)),
        ({"first_n_mins": 5}, ((0, 60_000),)),
        ({"start_time_s": 10}, ((10_000, 60_000),)),
        ({"end_time_s": 5}, ((0, 5_000),)),
        ({"start_time_s": 10, "end_time_s": 90}, ((10_000, 60_000),)),
        ({"first_n_mins": 0.5, "start_time_s": 10}, ((10_000, 30_000),)),
        ({"rec_chunks_s": ((1, 2), (4, 99))}, ((1_000, 2_000), (4_000, 60_000))),
        ({"end_time_s": 1, "rec_chunks_s": ((4, 5),)}, ((0, 1_000), (4_000, 5_000))),
        ({"rec_chunks": ((5, 10), (10, 20))}, ((5, 10), (10, 20))),
    ],
)
def test_the_frames_kept_follow_the_windows(options, expected):
    assert keep_frames(RecordingConfig(**options), 60_000, 1000.0) == expected


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"start_time_s": 60}, "recording.start_time_s"),
        ({"rec_chunks_s": ((70, 80),)}, "recording.rec_chunks_s"),
        ({"rec_chunks": ((60_000, 60_001),)}, "recording.rec_chunks"),
        ({"rec_chunks_s": ((4, 6), (5, 7))}, "recording.rec_chunks_s"),
        ({"rec_chunks_s": ((4, 6), (1, 2))}, "recording.rec_chunks_s"),
        ({"first_n_mins": 0.1, "start_time_s": 7}, "recording.start_time_s"),
    ],
)
def test_windows_that_hold_nothing_or_overlap_are_refused_by_name(options, field):
    with pytest.raises(InvalidConfigurationError) as caught:
        keep_frames(RecordingConfig(**options), 60_000, 1000.0)
    assert caught.value.field == field


@given(st.integers(1, 10**7), st.integers(1, 10**5), st.integers(1, 50))
def test_spread_windows_stay_inside_and_reach_both_ends(n_samples, window, n_windows):
    spread = spread_frames(n_samples, window, n_windows)
    assert 1 <= len(spread) <= n_windows
    assert all(0 <= start < end <= n_samples for start, end in spread)
    assert all(before[1] <= after[0] for before, after in pairwise(spread))
    assert spread[0][0] == 0
    assert len(spread) == 1 or spread[-1][1] == n_samples
