from pathlib import Path

import numpy as np
import pytest

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.formats.stamp_clock import measure_clock

RATE_HZ = 30_000.0
FRAMES = np.arange(600_000)
FILE = Path("a.nwb")


@pytest.mark.parametrize(
    "stamps_s",
    [
        1_700_000_000.123 + FRAMES / RATE_HZ,
        np.round(FRAMES / RATE_HZ, 6),
        (FRAMES / RATE_HZ).astype(np.float32),
    ],
    ids=["seconds since 1970", "whole microseconds", "float32"],
)
def test_the_rate_of_rounded_stamps_is_right_within_ten_ppm(stamps_s):
    clock = measure_clock(stamps_s, FILE)
    assert clock.rate_hz == pytest.approx(RATE_HZ, rel=1e-5)
    assert clock.jumps == ()


def test_gaps_are_found_in_rounded_stamps_and_do_not_change_the_rate():
    stamps_s = FRAMES / RATE_HZ
    stamps_s[400:] += 37 / RATE_HZ
    stamps_s[500_000:] += 1 / RATE_HZ
    clock = measure_clock(np.round(stamps_s, 6), FILE)
    assert clock.jumps == ((400, 37), (500_000, 1))
    assert clock.rate_hz == pytest.approx(RATE_HZ, rel=1e-5)


def test_a_clock_set_back_is_a_jump_back_and_does_not_change_the_rate():
    stamps_s = 1.7e9 + np.where(FRAMES >= 701, FRAMES - 300, FRAMES) / RATE_HZ
    clock = measure_clock(stamps_s, FILE)
    assert (clock.jumps, clock.first_s) == (((701, -300),), 1.7e9)
    assert clock.rate_hz == pytest.approx(RATE_HZ, rel=1e-5)


def test_one_repeated_stamp_is_counted_and_costs_nothing():
    stamps_s = FRAMES / RATE_HZ
    stamps_s[12_345] = stamps_s[12_344]
    clock = measure_clock(stamps_s, FILE)
    assert (clock.repeated, clock.jumps) == (1, ())


@pytest.mark.parametrize(
    ("stamps_s", "said"),
    [
        (np.where(FRAMES == 900, np.nan, FRAMES / RATE_HZ), "not a number"),
        (np.round(FRAMES / RATE_HZ, 3), "stand still|coarser"),
        (np.zeros(1000), "coarser"),
    ],
    ids=["not a number", "milliseconds", "constant"],
)
def test_stamps_that_number_no_frames_are_refused(stamps_s, said):
    with pytest.raises(InputCorruptError, match=said) as caught:
        measure_clock(stamps_s, FILE)
    assert caught.value.reason == "clock"
