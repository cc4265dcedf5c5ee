"""Hum is told from slow potentials, and channels that repeat another are named."""

import numpy as np
import pytest

from spikefleet.signal.measuring.mains_hum import RawLoad

RATE_HZ = 20_000.0


def window(n_channels=8, seconds=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((round(seconds * RATE_HZ), n_channels)) * 5).astype("float32")


def hum(hz, peak_uv, samples, deviation_hz=0.0):
    at_s = np.arange(len(samples)) / RATE_HZ
    wave = np.sin(2 * np.pi * (hz + deviation_hz) * at_s) + 0.2 * np.sin(6 * np.pi * hz * at_s)
    return samples + (peak_uv * wave)[:, np.newaxis].astype("float32")


def load(*windows):
    found = RawLoad(windows[0].shape[1], RATE_HZ)
    for samples in windows:
        found.add(samples)
    return found


@pytest.mark.parametrize("hz", [50.0, 60.0])
@pytest.mark.parametrize("deviation_hz", [-0.2, 0.0, 0.2])
def test_hum_is_told_with_its_frequency(hz, deviation_hz):
    share, told_hz = load(hum(hz, 100.0, window(), deviation_hz)).hum()
    assert share > 0.9
    assert told_hz == hz


def test_hum_is_told_of_a_signal_that_was_band_passed():
    samples = window()
    at_s = np.arange(len(samples)) / RATE_HZ
    seventh = 40 * np.sin(2 * np.pi * 350 * at_s)[:, np.newaxis]
    share, told_hz = load(samples + seventh.astype("float32")).hum()
    assert share > 0.9
    assert told_hz == 50.0


def test_noise_has_no_hum():
    assert load(window()).hum()[0] < 0.15


def test_slow_potentials_are_no_hum():
    samples = window()
    at_s = np.arange(len(samples)) / RATE_HZ
    slow = sum(200 / hz * np.sin(2 * np.pi * hz * at_s + hz) for hz in range(2, 40, 3))
    assert load(samples + slow[:, np.newaxis]).hum()[0] < 0.3


def test_a_window_too_short_for_hum_says_nothing_of_it():
    assert load(window(seconds=0.05)).hum() == (0.0, 0.0)


def test_channels_that_repeat_another_in_every_window_are_named():
    windows = [window(seed=seed) for seed in range(3)]
    for samples in windows:
        samples[:, 5] = samples[:, 1]
        samples[:, 7] = samples[:, 1]
    windows[0][:, 2] = windows[0][:, 3]
    assert load(*windows).repeated() == ((1, 5, 7),)


def test_channels_that_never_move_repeat_nothing():
    samples = window()
    samples[:, 1:4] = 7.0
    assert load(samples, samples).repeated() == ()
