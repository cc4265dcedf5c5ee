from pathlib import Path

import numpy as np
import pytest
from tests.support.formats.raw_binary import smooth_samples

from spikefleet.signal.formats.plausibility import channel_count_doubt, type_doubt
from spikefleet.signal.open import open_recording

REAL = Path("../shared/data/recordings/biocam/biocam_fw1.7_raw.brw")


def as_channels(samples, n_channels):
    flat = samples.reshape(-1)
    return flat[: flat.size // n_channels * n_channels].reshape(-1, n_channels)


@pytest.mark.parametrize("n_channels", [3, 16, 64, 384])
def test_the_right_count_is_never_doubted(n_channels):
    samples = smooth_samples(2000, n_channels, seed=n_channels)
    common = smooth_samples(2000, 1, seed=1)
    for block in (samples, samples + common, samples + 50 * np.arange(n_channels, dtype="int16")):
        assert channel_count_doubt([block], block.size) is None


def test_white_noise_says_nothing_of_its_channels():
    noise = np.random.default_rng(0).normal(0, 30, (4000, 12)).astype("int16")
    for count in (3, 6, 12, 24):
        assert channel_count_doubt([as_channels(noise, count)], noise.size) is None


def test_a_tone_near_half_the_rate_is_not_taken_for_more_channels():
    frames = np.arange(4000)
    tone = 60 * np.cos(np.pi * 0.95 * frames)[:, None] + smooth_samples(4000, 8)
    block = tone.astype("int16")
    assert channel_count_doubt([block], block.size) is None


def test_nothing_to_look_at_is_no_doubt():
    assert channel_count_doubt([], 0) is None
    assert channel_count_doubt([np.zeros((500, 4), dtype="int16")], 2000) is None
    assert type_doubt(np.zeros((1, 4), dtype="int16")) == ""


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
def test_samples_of_their_own_type_are_not_doubted(dtype):
    assert type_doubt(smooth_samples(3000, 8).astype(dtype)) == ""


def test_wide_integers_and_silence_and_rails_are_not_doubted():
    rng = np.random.default_rng(0)
    assert type_doubt(rng.normal(0, 3e6, (3000, 8)).astype("int32")) == ""
    assert type_doubt(np.zeros((3000, 8), dtype="uint32")) == ""
    rails = np.where(rng.random((3000, 8)) < 0.5, -32768, 32767).astype("int16")
    assert type_doubt(rails) == ""


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is not here")
@pytest.mark.parametrize("n_channels", [50, 100, 200])
def test_a_real_recording_shows_its_channel_count(n_channels):
    samples = open_recording(REAL).get_traces()
    doubt = channel_count_doubt([as_channels(samples, n_channels)], samples.size)
    assert (doubt.likely if doubt else n_channels) == 100
