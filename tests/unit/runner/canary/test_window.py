"""Where the trial falls: on activity, long enough to learn from, inside what the run sorts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.runner.canary.window import (
    ActivePoint,
    StreamLength,
    choose_window,
    kept_spans,
    read_activity,
    wanted_length_s,
)

HOUR = StreamLength(3600.0, 30_000.0)


def test_a_quiet_start_is_left_out() -> None:
    activity = [ActivePoint(0.5, 0.0), ActivePoint(1.5, 0.0), ActivePoint(40.0, 80.0)]
    window = choose_window([(0.0, 120.0)], 30.0, activity)
    assert (window.start_s, window.end_s, window.chosen_by) == (39.5, 69.5, "activity")


def test_the_most_active_stretch_is_taken() -> None:
    activity = [ActivePoint(10.0, 5.0), ActivePoint(300.0, 50.0), ActivePoint(310.0, 40.0)]
    window = choose_window([(0.0, 600.0)], 60.0, activity)
    assert window.start_s == pytest.approx(299.5)


def test_of_two_equal_stretches_the_first_is_taken() -> None:
    activity = [ActivePoint(100.0, 9.0), ActivePoint(500.0, 9.0)]
    assert choose_window([(0.0, 900.0)], 60.0, activity).start_s == pytest.approx(99.5)


def test_activity_at_the_very_end_is_reached_without_leaving_the_recording() -> None:
    window = choose_window([(0.0, 120.0)], 52.0, [ActivePoint(119.0, 30.0)])
    assert (window.start_s, window.end_s) == (68.0, 120.0)


def test_without_measured_activity_the_middle_is_taken() -> None:
    window = choose_window([(0.0, 100.0)], 20.0, [])
    assert (window.start_s, window.end_s, window.chosen_by) == (40.0, 60.0, "middle")


def test_activity_outside_the_configured_window_does_not_count() -> None:
    spans = kept_spans({"start_time_s": 600.0, "end_time_s": 1200.0}, HOUR)
    activity = [ActivePoint(30.0, 90.0), ActivePoint(700.0, 4.0)]
    window = choose_window(spans, 60.0, activity)
    assert spans == [(600.0, 1200.0)]
    assert window.start_s == pytest.approx(699.5)


def test_chunks_that_touch_are_one_span_and_others_are_not() -> None:
    group = {"rec_chunks_s": [[0.0, 60.0], [60.0, 120.0], [300.0, 330.0]]}
    assert kept_spans(group, HOUR) == [(0.0, 120.0), (300.0, 330.0)]


def test_where_no_chunk_is_long_enough_the_longest_is_tried() -> None:
    window = choose_window([(0.0, 20.0), (50.0, 90.0)], 52.0, [ActivePoint(5.0, 9.0)])
    assert (window.start_s, window.end_s) == (50.0, 90.0)


def test_kilosort_is_given_two_of_the_batches_it_learns_from() -> None:
    kilosort = BACKENDS["kilosort4"]
    assert wanted_length_s(kilosort, {}, 10.0, 30_000.0) == pytest.approx(52.0)
    assert wanted_length_s(kilosort, {"batch_size": 15_000}, 10.0, 30_000.0) == pytest.approx(13.0)
    assert wanted_length_s(kilosort, {}, 90.0, 30_000.0) == 90.0
    assert wanted_length_s(BACKENDS["lupin"], {}, 10.0, 30_000.0) == 10.0


def test_preflights_counts_become_rates_and_windows_without_time_are_left_out() -> None:
    measured = {
        "activity_over_time": [
            {"at_s": 0.5, "n_moments": 30, "seconds": 1.0},
            {"at_s": 9.0, "n_moments": 30, "seconds": 2.0},
            {"at_s": 20.0, "n_moments": 0, "seconds": 0.0},
        ]
    }
    assert read_activity(measured) == (ActivePoint(0.5, 30.0), ActivePoint(9.0, 15.0))
    assert read_activity({}) == ()


@given(
    spans=st.lists(st.integers(1, 400), min_size=2, max_size=8, unique=True).map(sorted),
    length_s=st.floats(0.5, 200),
    points=st.lists(st.tuples(st.floats(0, 500), st.floats(0, 1000)), max_size=20),
)
def test_the_window_always_lies_in_one_span(spans, length_s, points) -> None:
    pairs = [(float(a), float(b)) for a, b in zip(spans[::2], spans[1::2], strict=False)]
    window = choose_window(pairs, length_s, [ActivePoint(*point) for point in points])
    assert any(a <= window.start_s < window.end_s <= b + 1e-9 for a, b in pairs)
    assert window.length_s <= length_s + 1e-9 or window.chosen_by == "middle"
