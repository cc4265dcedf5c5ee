"""Crossings are counted per channel and moment; both filters agree; artifacts and hum go."""

import numpy as np
import pytest

from spikefleet.signal.measuring.spikes_in_noise import count_crossings

RATE_HZ = 20_000.0


def noise(n_channels=4, seconds=2.0, seed=0, sigma_uv=5.0):
    rng = np.random.default_rng(seed)
    shape = (round(seconds * RATE_HZ), n_channels)
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(sigma_uv)


def with_spikes(samples, frames, channel, peak_uv=-80.0):
    for frame in frames:
        samples[frame : frame + 10, channel] += peak_uv * np.hanning(10).astype("float32")
    return samples


def test_spikes_are_counted_on_their_channel():
    frames = np.arange(2_000, 38_000, 2_000)
    found = count_crossings(with_spikes(noise(), frames, 2), RATE_HZ, np.zeros(4))
    assert found.negative[2] == len(frames)
    assert list(np.delete(found.negative, 2)) == [0, 0, 0]
    assert found.moments[2] >= len(frames)
    assert found.large[2] >= 0.8 * len(frames)
    assert found.noise_uv == pytest.approx(np.full(4, 3.8), rel=0.15)


def test_both_filters_give_the_same_counts():
    samples = with_spikes(noise(), np.arange(2_000, 38_000, 900), 1)
    one = count_crossings(samples, RATE_HZ, np.zeros(4), "scipy")
    other = count_crossings(samples, RATE_HZ, np.zeros(4), "compiled")
    assert list(one.negative) == list(other.negative)
    assert one.n_low == other.n_low


def test_a_spike_seen_on_many_channels_is_one_moment():
    samples = noise(16)
    for channel in range(10):
        with_spikes(samples, [5_000, 20_000], channel)
    found = count_crossings(samples, RATE_HZ, np.zeros(16))
    assert found.negative.sum() >= 20
    assert found.n_moments <= 6


@pytest.mark.parametrize(("n_channels", "counted"), [(48, False), (16, True)])
def test_what_a_whole_large_array_shows_at_once_is_an_artifact(n_channels, counted):
    samples = noise(n_channels)
    for channel in range(n_channels):
        with_spikes(samples, [10_000, 30_000], channel, 2_000.0)
    found = count_crossings(samples, RATE_HZ, np.zeros(n_channels))
    assert (found.n_moments > 0) is counted
    assert (found.artifact_s > 0) is not counted


def test_a_spike_next_to_no_artifact_stays():
    samples = noise(48)
    for channel in range(48):
        with_spikes(samples, [10_000], channel, 2_000.0)
    with_spikes(samples, [10_400], 5)
    found = count_crossings(samples, RATE_HZ, np.zeros(48))
    assert found.negative[5] == 1


def test_hum_inside_the_band_is_taken_out_and_spikes_stay():
    frames = np.arange(2_000, 38_000, 2_000)
    samples = with_spikes(noise(), frames, 2)
    at_s = np.arange(len(samples)) / RATE_HZ
    samples += (60 * np.sin(2 * np.pi * 350.1 * at_s))[:, np.newaxis].astype("float32")
    hidden = count_crossings(samples, RATE_HZ, np.zeros(4))
    found = count_crossings(samples, RATE_HZ, np.zeros(4), hum_hz=50.0)
    assert hidden.negative[2] == 0
    assert found.negative[2] == len(frames)
    assert found.negative.sum() == len(frames)


def test_channels_that_never_move_count_nothing():
    samples = noise()
    samples[:, 1] = 3.0
    found = count_crossings(samples, RATE_HZ, np.zeros(4))
    assert list(found.moving) == [True, False, True, True]
    assert found.noise_uv[1] == 0.0
    assert found.channel_seconds == pytest.approx(3 * found.seconds)


def test_a_stretch_too_short_to_filter_shows_nothing():
    found = count_crossings(noise(seconds=0.001), RATE_HZ, np.zeros(4))
    assert (found.seconds, found.n_moments) == (0.0, 0)


def test_the_last_bit_of_a_converter_is_no_spike():
    flicker = np.rint(noise(sigma_uv=0.4)).astype("float32")
    found = count_crossings(flicker, RATE_HZ, np.ones(4))
    assert found.n_moments == 0
