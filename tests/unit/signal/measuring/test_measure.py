import json

import numpy as np
import pytest
from spikeinterface.core import NumpyRecording
from tests.support.recordings import make_recording

from spikefleet.core.failures.errors import (
    InputCorruptError,
    InsufficientActivityError,
    InvalidConfigurationError,
    NoGoodChannelsError,
    SaturatedSignalError,
)
from spikefleet.signal.measuring.measure import measure_signal, signal_failure
from spikefleet.signal.open import open_recording

RATE_HZ = 30000.0


def in_memory(samples, gain_to_uv=1.0, rate_hz=RATE_HZ):
    recording = NumpyRecording([samples], rate_hz)
    recording.set_channel_gains(gain_to_uv)
    recording.set_channel_offsets(0.0)
    return recording


def noise(n_channels, seconds, seed, sigma_uv=8.0, rate_hz=RATE_HZ):
    rng = np.random.default_rng(seed)
    shape = (round(seconds * rate_hz), n_channels)
    return rng.standard_normal(shape, dtype=np.float32) * sigma_uv


def verdict(recording):
    return signal_failure(measure_signal(recording))


@pytest.fixture
def healthy_uv(tmp_path):
    recording = open_recording(make_recording(tmp_path, "binary").path)
    return recording.get_traces(return_in_uV=True)


@pytest.mark.parametrize("format", ["maxwell", "spikeglx", "nwb", "binary"])
@pytest.mark.parametrize(
    ("condition", "error", "reason"),
    [
        ("silent", InsufficientActivityError, "silent"),
        ("flat", NoGoodChannelsError, "flat"),
        ("saturated", SaturatedSignalError, None),
        ("noise", InsufficientActivityError, "noise_only"),
    ],
)
def test_each_condition_has_its_own_failure_in_every_format(
    tmp_path, format, condition, error, reason
):
    failure = verdict(open_recording(make_recording(tmp_path, format, condition=condition).path))
    assert type(failure) is error
    assert failure.evidence.get("reason") == reason


@pytest.mark.parametrize("format", ["maxwell", "spikeglx", "nwb", "binary"])
def test_a_healthy_recording_passes(tmp_path, format):
    measured = measure_signal(open_recording(make_recording(tmp_path, format).path))
    assert signal_failure(measured) is None
    assert 2.0 < measured.median_noise_uv < 8.0
    assert measured.rail_fraction < 0.001
    assert measured.negative_crossings_hz > 100 * measured.gaussian_crossings_hz


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "seconds", "units"), [(16, 20.0, 5), (32, 60.0, 10)])
def test_longer_ground_truth_passes(tmp_path, channels, seconds, units):
    made = make_recording(tmp_path, "binary", seconds, channels, units, seed=4)
    assert verdict(open_recording(made.path)) is None


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("n_channels", "seconds"), [(4, 10.0), (32, 3.0), (384, 0.7)])
@pytest.mark.parametrize("coded", [False, True])
def test_plain_noise_is_never_taken_for_spikes(n_channels, seconds, seed, coded):
    samples = noise(n_channels, seconds, seed)
    recording = (
        in_memory(np.rint(samples / 0.195).astype("int16"), 0.195) if coded else in_memory(samples)
    )
    failure = verdict(recording)
    assert isinstance(failure, InsufficientActivityError)
    assert failure.evidence["reason"] == "noise_only"


@pytest.mark.parametrize("sigma_counts", [0.2, 0.4, 0.7, 1.0])
def test_the_flicker_of_the_last_bit_is_noise(sigma_counts):
    flicker = np.rint(noise(16, 4.0, 0, sigma_counts)).astype("int16")
    failure = verdict(in_memory(flicker, 0.195))
    assert isinstance(failure, InsufficientActivityError)
    assert failure.evidence["reason"] == "noise_only"


def test_noise_that_grows_or_hums_is_still_noise():
    samples = noise(8, 6.0, 3)
    growing = samples * np.linspace(0.3, 4.0, len(samples), dtype="float32")[:, np.newaxis]
    hum = 300 * np.sin(2 * np.pi * 50 * np.arange(len(samples)) / RATE_HZ)
    for disturbed in (growing, samples + hum[:, np.newaxis].astype("float32")):
        assert isinstance(verdict(in_memory(disturbed)), InsufficientActivityError)


@pytest.mark.parametrize("rate_hz", [10000.0, 20000.0])
def test_noise_is_noise_at_lower_sampling_rates(rate_hz):
    recording = in_memory(noise(8, 6.0, 5, rate_hz=rate_hz), rate_hz=rate_hz)
    assert isinstance(verdict(recording), InsufficientActivityError)


@pytest.mark.parametrize("kind", ["nan_burst", "inf"])
def test_one_bad_stretch_on_one_channel_is_found_with_its_place(tmp_path, kind):
    made = make_recording(tmp_path, "binary", condition="nan_burst")
    samples = open_recording(made.path).get_traces()
    if kind == "inf":
        samples = np.nan_to_num(samples)
        samples[60_000, 4] = np.inf
    failure = verdict(in_memory(samples))
    assert isinstance(failure, InputCorruptError)
    assert failure.reason == "non_finite"
    assert failure.first_at_s == pytest.approx(2.0)
    assert failure.channel == "4"


def test_a_burst_between_the_sampled_windows_is_found_too(healthy_uv):
    samples = healthy_uv.copy()
    samples[61_234, 1] = np.nan
    measured = measure_signal(in_memory(samples), window_s=0.01, n_windows=3)
    assert measured.first_non_finite_s == pytest.approx(61_234 / RATE_HZ)


@pytest.mark.parametrize("factor", [1e-6, 1e-3])
def test_volts_taken_for_microvolts_are_a_matter_of_scale(healthy_uv, factor):
    failure = verdict(in_memory(healthy_uv * np.float32(factor)))
    assert isinstance(failure, InvalidConfigurationError)
    assert failure.field == "recording.gain_to_uv"


def test_a_late_start_of_activity_passes(healthy_uv):
    quiet = noise(healthy_uv.shape[1], 8.0, 1, 6.0)
    assert verdict(in_memory(np.concatenate([quiet, healthy_uv[:30_000]]))) is None


def test_rare_activity_outside_the_first_sample_is_looked_for(healthy_uv):
    samples = noise(healthy_uv.shape[1], 30.0, 1, 6.0)
    samples[400_000:415_000] = healthy_uv[:15_000]
    measured = measure_signal(in_memory(samples), window_s=0.1, n_windows=3)
    assert signal_failure(measured) is None


def test_inverted_polarity_is_activity(healthy_uv):
    assert verdict(in_memory(-healthy_uv)) is None


@pytest.mark.parametrize(("n_dead", "passes"), [(4, True), (7, True), (8, False)])
def test_dead_channels_matter_when_nearly_all_are_dead(healthy_uv, n_dead, passes):
    samples = healthy_uv.copy()
    samples[:, 1 : 1 + n_dead - 1] = 0
    samples[:, 0] = 5.0
    failure = verdict(in_memory(samples))
    assert (failure is None) is passes
    if failure is not None:
        assert isinstance(failure, NoGoodChannelsError)
        assert failure.bad_channels == n_dead


@pytest.mark.parametrize("value", [32767, -32768, 511])
def test_channels_stuck_at_a_rail_are_saturated_not_flat(value):
    stuck = np.full((30_000, 4), value, dtype="int16")
    assert isinstance(verdict(in_memory(stuck, 0.195)), SaturatedSignalError)


def test_a_recording_of_a_few_samples_is_measured_without_error():
    measured = measure_signal(in_memory(noise(4, 0.0005, 0)))
    assert measured.channel_seconds == 0.0
    assert isinstance(signal_failure(measured), InsufficientActivityError)


def test_measurements_are_json(healthy_uv):
    document = json.loads(json.dumps(measure_signal(in_memory(healthy_uv)).to_json()))
    assert document["n_channels"] == 8
    assert document["first_non_finite_s"] is None
    assert len(document["noise_uv"]) == 8
