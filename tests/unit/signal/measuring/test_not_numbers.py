"""Samples that are no numbers are found with their place, in memory of one block."""

import numpy as np
import pytest
from spikeinterface.core import NumpyRecording

from spikefleet.signal.measuring.not_numbers import scan_finite


def recording(samples):
    return NumpyRecording([samples], 20_000.0)


def noise(n_samples=100_000, n_channels=4):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n_samples, n_channels), dtype=np.float32)


def test_a_whole_recording_of_numbers_is_finite():
    found = scan_finite(recording(noise()))
    assert (found.fraction, found.first_s, found.first_channel) == (1.0, None, None)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_bad_sample_is_found_with_time_and_channel(value):
    samples = noise()
    samples[61_234, 2] = value
    found = scan_finite(recording(samples))
    assert found.first_s == pytest.approx(61_234 / 20_000)
    assert found.first_channel == "2"
    assert found.fraction == pytest.approx(1 - 1 / samples.size)


def test_integers_are_not_read_at_all():
    assert scan_finite(recording(np.zeros((10, 2), dtype="int16"))).fraction == 1.0


def test_beyond_the_limit_blocks_are_spread_over_everything():
    samples = noise(n_channels=1, n_samples=200_000)
    samples[100_000:] = np.nan
    found = scan_finite(recording(samples), most_samples=1)
    assert found.first_s is not None
