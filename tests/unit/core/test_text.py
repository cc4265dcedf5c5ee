"""Durations and sizes as people read them."""

import pytest

from spikefleet.core.text import counted, format_duration, format_gib, format_size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (-1, "–"),
        (float("inf"), "–"),
        (0.5, "0.5 s"),
        (3.21, "3.21 s"),
        (59.96, "60 s"),
        (60, "1 min"),
        (95.0, "1 min 35 s"),
        (7800, "2 h 10 min"),
        (7200, "2 h"),
    ],
)
def test_durations_use_the_unit_that_fits(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(None, "–"), (10, "10 B"), (1500, "1.5 kB"), (3_200_000, "3.2 MB"), (3e15, "3e+03 TB")],
)
def test_sizes_are_written_in_decimal_units(size_bytes, text):
    assert format_size(size_bytes) == text


def test_limits_are_written_in_the_unit_they_are_set_in():
    assert format_gib(3 * 2**30) == "3.0 GiB"


@pytest.mark.parametrize(
    ("count", "verb", "text"),
    [
        (1, None, "1 file"),
        (0, None, "0 files"),
        (1200, None, "1,200 files"),
        (1, ("is", "are"), "1 file is"),
        (2, ("is", "are"), "2 files are"),
    ],
)
def test_counts_agree_with_their_noun(count: int, verb: tuple[str, str] | None, text: str) -> None:
    assert counted(count, "file", verb) == text
