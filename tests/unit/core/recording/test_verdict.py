"""Verdicts on every state a rig hands over: the healthy is never unsortable, the dead always is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from spikeinterface.core import NumpyRecording
from tests.support.preflight_signals import HEALTHY, UNSORTABLE, SignalRecording, make_state

from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import (
    InsufficientActivityError,
    NoGoodChannelsError,
    SaturatedSignalError,
)
from spikefleet.signal.measuring.measure import measure_signal, search_for_spikes, signal_failure
from spikefleet.signal.open import open_recording
from spikefleet.signal.preparing.prepare import prepare

REAL = Path("../shared/data/recordings/biocam")
LONG = ("1 h", "384 channels", "64 channels", "10 min", "5 min", "hum")
CAUSES = {
    "every channel flat": NoGoodChannelsError,
    "15 of 16 channels flat, noise on the other": NoGoodChannelsError,
    "every channel at the rail": SaturatedSignalError,
    "at the rail four fifths of the time": SaturatedSignalError,
    "10 of 16 channels at the rail, noise on the others": SaturatedSignalError,
}


def chosen(states, seeds):
    """Every state, the long ones marked slow; more seeds are slow too."""
    return [
        pytest.param(
            name,
            seed,
            marks=[pytest.mark.slow] if seed or any(part in name for part in LONG) else [],
            id=f"{name}-{seed}",
        )
        for name in states
        for seed in range(seeds)
    ]


def verdict(states, name, seed):
    measured = measure_signal(make_state(states, name, seed + 1000))
    return signal_failure(measured), measured


@pytest.mark.parametrize(("name", "seed"), chosen(HEALTHY, 2))
def test_a_healthy_recording_is_never_unsortable(name, seed):
    failure, measured = verdict(HEALTHY, name, seed)
    assert failure is None, failure
    assert measured.activity


@pytest.mark.parametrize(("name", "seed"), chosen(UNSORTABLE, 2))
def test_what_holds_no_spikes_is_always_unsortable_with_its_cause(name, seed):
    failure, measured = verdict(UNSORTABLE, name, seed)
    assert type(failure) is CAUSES.get(name, InsufficientActivityError)
    assert measured.activity == ""


@pytest.mark.parametrize(
    "name",
    [
        "four spikes in one minute, one channel",
        "20 uV over 5 uV of noise",
        "uint16 at 6.3 uV per count, 20 uV",
        "hum of 2 mV",
    ],
)
def test_what_preflight_lets_pass_is_found_again_in_the_prepared_copy(tmp_path, name):
    prepared = prepare(make_state(HEALTHY, name, 3), RecordingConfig(), tmp_path)
    assert not search_for_spikes(prepared).noise_explains_it


def test_a_quiet_start_is_told_from_a_silent_recording():
    failure, measured = verdict(HEALTHY, "first 2 s quiet", 0)
    assert failure is None
    start = [entry.n_moments for entry in measured.activity_over_time if entry.at_s < 2.0]
    later = [entry.n_moments for entry in measured.activity_over_time if entry.at_s > 2.5]
    assert max(start) <= 1
    assert min(later) > 3


def test_artifacts_on_a_large_array_are_told_and_not_taken_for_spikes():
    signal = UNSORTABLE["noise and stimulation, 64 channels"](np.random.default_rng(0))
    measured = measure_signal(SignalRecording(replace(signal, n_channels=40, duration_s=4.0), 0))
    failure = signal_failure(measured)
    assert failure is not None
    assert failure.code is FailureCode.INSUFFICIENT_ACTIVITY
    assert 0.05 < measured.artifact_fraction < 0.5


def test_bad_channels_are_counted_beside_healthy_ones():
    failure, measured = verdict(HEALTHY, "15 of 16 channels flat", 0)
    assert failure is None
    assert len(measured.flat_channels) == 15
    failure, measured = verdict(HEALTHY, "10 of 16 channels at the rail", 0)
    assert failure is None
    assert len(measured.saturated_channels) == 10
    assert measured.n_active_channels == 6


@pytest.mark.skipif(not REAL.is_dir(), reason="the real recordings are not beside the checkout")
@pytest.mark.parametrize("name", ["biocam_fw1.6.brw", "biocam_fw1.7_raw.brw"])
def test_real_noise_is_noise_and_spikes_in_it_are_found(name):
    recording = open_recording(REAL / name)
    codes = recording.get_traces()
    made = NumpyRecording([codes], recording.sampling_frequency)
    made.set_channel_gains(recording.get_channel_gains())
    made.set_channel_offsets(recording.get_channel_offsets())
    assert measure_signal(made).activity == ""
    rng = np.random.default_rng(0)
    wave = np.hanning(12) * -130 / recording.get_channel_gains()[0]
    for channel in (3, 8, 21):
        for frame in rng.integers(100, len(codes) - 200, 4):
            codes[frame : frame + 12, channel] += np.rint(wave).astype("int64").astype(codes.dtype)
    spiky = NumpyRecording([codes], recording.sampling_frequency)
    spiky.set_channel_gains(recording.get_channel_gains())
    spiky.set_channel_offsets(recording.get_channel_offsets())
    assert signal_failure(measure_signal(spiky)) is None
