from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefleet.core.config import resolve
from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.recording.windows import keep_frames, spread_frames


def configured(**options) -> RecordingConfig:
    """The recording group as a submission gets it: what contradicts itself is refused here."""
    return resolve("kilosort4", options).recording


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
        ({"first_n_mins": 1e-6}, "recording.first_n_mins"),
        ({"end_time_s": 0.0001}, "recording.end_time_s"),
        ({"start_time_s": 1.0, "end_time_s": 1.0001}, "recording.start_time_s"),
        ({"end_time_s": 5, "rec_chunks_s": ((4, 6),)}, "recording.rec_chunks_s"),
        ({"start_time_s": 8, "rec_chunks_s": ((4, 6),)}, "recording.rec_chunks_s"),
        ({"rec_chunks": ((0, 10), (9, 20))}, "recording.rec_chunks"),
        ({"rec_chunks": ((30, 40), (10, 20))}, "recording.rec_chunks"),
        ({"first_n_mins": 0.1, "rec_chunks_s": ((1, 2), (6, 7))}, "recording.rec_chunks_s"),
    ],
)
def test_windows_that_hold_nothing_or_overlap_are_refused_by_name(options, field):
    with pytest.raises(InvalidConfigurationError) as caught:
        keep_frames(configured(**options), 60_000, 1000.0)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"rec_chunks": [[0, 10]], "start_time_s": 1}, "recording.rec_chunks"),
        ({"rec_chunks": [[0, 10]], "end_time_s": 1}, "recording.rec_chunks"),
        ({"rec_chunks": [[0, 10]], "rec_chunks_s": [[1, 2]]}, "recording.rec_chunks"),
        ({"rec_chunks": [[10, 10]]}, "recording.rec_chunks"),
        ({"rec_chunks_s": [[2, 1]]}, "recording.rec_chunks_s"),
        ({"start_time_s": 5, "end_time_s": 5}, "recording.start_time_s"),
        ({"start_time_s": -1}, "recording.start_time_s"),
        ({"end_time_s": 0}, "recording.end_time_s"),
        ({"first_n_mins": 0}, "recording.first_n_mins"),
        ({"mea_y_max": -2}, "recording.mea_y_max"),
        ({"mea_y_max": -0.5}, "recording.mea_y_max"),
        ({"gain_to_uv": 0.0}, "recording.gain_to_uv"),
        ({"gain_to_uv": [6.3, 0.0]}, "recording.gain_to_uv"),
        ({"offset_to_uv": []}, "recording.offset_to_uv"),
        ({"rec_chunks_s": [[0, 5], [4, 6]]}, "recording.rec_chunks_s"),
        ({"rec_chunks": [[30, 40], [10, 20]]}, "recording.rec_chunks"),
        ({"start_time_s": 8, "rec_chunks_s": [[9, 10]]}, "recording.rec_chunks_s"),
        ({"first_n_mins": 0.1, "start_time_s": 6}, "recording.start_time_s"),
        ({"first_n_mins": 0.1, "rec_chunks_s": [[1, 2], [7, 8]]}, "recording.rec_chunks_s"),
    ],
)
def test_fields_that_contradict_each_other_are_refused_before_any_recording(options, field):
    with pytest.raises(InvalidConfigurationError) as caught:
        resolve("kilosort4", options)
    assert caught.value.field == field


@given(
    st.integers(1, 100_000),
    st.floats(0.001, 3),
    st.lists(st.tuples(st.floats(0, 90), st.floats(0, 90)), max_size=4),
)
def test_windows_are_kept_in_order_inside_and_apart_or_refused(n_samples, minutes, chunks):
    windows = tuple((min(pair), max(pair)) for pair in chunks if pair[0] != pair[1])
    try:
        config = configured(first_n_mins=minutes, rec_chunks_s=windows)
        kept = keep_frames(config, n_samples, 1000.0)
    except InvalidConfigurationError:
        return
    edges = [frame for window in kept for frame in window]
    assert edges == sorted(edges)
    assert all(start < end for start, end in kept)
    assert 0 <= edges[0] < edges[-1] <= min(n_samples, round(minutes * 60_000))
    assert len(kept) == max(1, len(windows))


@given(st.integers(1, 10**7), st.integers(1, 10**5), st.integers(1, 50))
def test_spread_windows_stay_inside_and_reach_both_ends(n_samples, window, n_windows):
    spread = spread_frames(n_samples, window, n_windows)
    assert 1 <= len(spread) <= n_windows
    assert all(0 <= start < end <= n_samples for start, end in spread)
    assert all(before[1] <= after[0] for before, after in pairwise(spread))
    assert spread[0][0] == 0
    assert len(spread) == 1 or spread[-1][1] == n_samples
