import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spikeinterface import preprocessing
from spikeinterface.core import NumpyRecording

from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.signal.filtering.band_pass import (
    COMPILED_FROM_VALUES,
    choose_implementation,
    design_band_pass,
)

AGREED_UV = 1e-3


def signal(n_samples, n_channels, dtype="int16", seed=0):
    """Noise of 27 µV with spikes on a drifting baseline, as an amplifier gives it."""
    rng = np.random.default_rng(seed)
    uv = rng.normal(scale=27.0, size=(n_samples, n_channels))
    uv[rng.integers(0, n_samples, n_samples // 100), rng.integers(0, n_channels)] -= 300.0
    uv += 800.0 * np.sin(np.arange(n_samples) / 5000.0)[:, np.newaxis]
    return uv.astype(dtype) if dtype == "float32" else (np.rint(uv) + 2048).astype(dtype)


def by_spikeinterface(samples, rate_hz, config):
    recording = NumpyRecording([samples.astype("float32")], rate_hz)
    if config.freq_max >= 0.98 * rate_hz / 2:
        margin_ms = 5000.0 / config.freq_min
        filtered = preprocessing.highpass_filter(recording, config.freq_min, margin_ms=margin_ms)
    else:
        filtered = preprocessing.bandpass_filter(recording, config.freq_min, config.freq_max)
    return filtered


@pytest.mark.parametrize("dtype", ["int16", "uint16", "float32"])
@pytest.mark.parametrize(
    ("rate_hz", "band_hz"),
    [
        (30000.0, (300, 6000)),
        (20000.0, (150, 3000)),
        (10000.0, (300, 6000)),
        (30000.0, (500, 9000)),
    ],
)
@pytest.mark.parametrize("implementation", ["compiled", "scipy"])
def test_the_filter_is_spikeinterfaces(implementation, rate_hz, band_hz, dtype):
    config = RecordingConfig(freq_min=band_hz[0], freq_max=band_hz[1])
    samples = signal(20_000, 5, dtype)
    expected = by_spikeinterface(samples, rate_hz, config)
    band_pass = design_band_pass(config, rate_hz)
    whole = band_pass.apply(samples, implementation)
    assert np.abs(whole - expected.get_traces()).max() <= AGREED_UV
    margin = band_pass.margin
    block = band_pass.apply(samples[5000 - margin : 9000 + margin], implementation)
    expected_block = expected.get_traces(start_frame=5000, end_frame=9000)
    assert np.abs(block[margin:-margin] - expected_block).max() <= AGREED_UV


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.integers(1, 70), st.integers(0, 1000))
def test_both_implementations_agree_on_any_shape(n_samples, n_channels, seed):
    samples = signal(n_samples, n_channels, "float32", seed)
    band_pass = design_band_pass(RecordingConfig(), 30000.0)
    before = samples.copy()
    compiled, scipy = (band_pass.apply(samples, name) for name in ("compiled", "scipy"))
    assert compiled.shape == samples.shape
    assert np.abs(compiled - scipy).max() <= AGREED_UV
    assert np.array_equal(samples, before)


def test_channels_do_not_mix_whatever_their_order_in_memory():
    samples = signal(3000, 4)
    band_pass = design_band_pass(RecordingConfig(), 30000.0)
    whole = band_pass.apply(np.asfortranarray(samples), "compiled")
    alone = band_pass.apply(samples[:, 2:3], "compiled")
    assert np.array_equal(whole[:, 2:3], alone)


def test_no_band_means_no_filter():
    assert design_band_pass(RecordingConfig(freq_min=None, freq_max=None), 30000.0) is None


def test_a_band_that_begins_above_nyquist_is_refused():
    with pytest.raises(InvalidConfigurationError) as caught:
        design_band_pass(RecordingConfig(freq_min=5000, freq_max=6000), 10000.0)
    assert caught.value.field == "recording.freq_min"


def test_short_recordings_do_not_wait_for_a_compiler():
    assert choose_implementation(COMPILED_FROM_VALUES - 1) == "scipy"
    assert choose_implementation(COMPILED_FROM_VALUES) == "compiled"
