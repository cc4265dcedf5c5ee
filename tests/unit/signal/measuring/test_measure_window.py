"""Only what is sorted decides, and times stay those of the recording."""

from dataclasses import replace

import numpy as np
import pytest
from tests.support.preflight_signals import HEALTHY, Signal, SignalRecording, make_state, stuck

from spikefleet.core.failures.errors import InsufficientActivityError
from spikefleet.core.recording.verdict import signal_failure
from spikefleet.signal.measuring.measure_window import measure_kept, original_s

RATE_HZ = 20_000


def frames(*spans_s):
    return tuple((round(start * RATE_HZ), round(end * RATE_HZ)) for start, end in spans_s)


def test_a_bad_start_that_is_cut_away_does_not_decide():
    def bad_start(codes, start, rate_hz):
        bad = start + np.arange(len(codes)) < 30 * rate_hz
        codes[bad] = 32767
        return codes

    signal = replace(HEALTHY["uint16 around 32768"](np.random.default_rng(0)), dtype="int16")
    signal = replace(signal, zero_code=0, code_shapes=(bad_start,))
    recording = SignalRecording(signal, 0)
    assert signal_failure(measure_kept(recording, frames((31.0, 60.0)))) is None
    whole = measure_kept(recording, frames((0.0, 60.0)))
    assert len(whole.saturated_channels) == 16


def test_activity_that_is_cut_away_helps_nobody():
    recording = make_state(HEALTHY, "first 4 of 5 min quiet", 0)
    failure = signal_failure(measure_kept(recording, frames((0.0, 120.0))))
    assert isinstance(failure, InsufficientActivityError)
    measured = measure_kept(recording, frames((0.0, 60.0), (230.0, 300.0)))
    assert signal_failure(measured) is None
    assert measured.duration_s == pytest.approx(130.0)
    active = [entry.at_s for entry in measured.activity_over_time if entry.n_moments > 3]
    assert min(active) > 239.0


def test_a_bad_sample_is_placed_in_the_whole_recording():
    def burst(codes, start, rate_hz):
        at = round(50 * rate_hz) - start
        if 0 <= at < len(codes):
            codes[at, 2] = np.nan
        return codes

    signal = Signal(gain_uv=1.0, dtype="float32", code_shapes=(burst,))
    measured = measure_kept(SignalRecording(signal, 0), frames((5.0, 10.0), (40.0, 55.0)))
    assert measured.first_non_finite_s == pytest.approx(50.0)
    assert measured.first_non_finite_channel == "2"


@pytest.mark.parametrize(
    ("at_s", "expected_s"), [(0.0, 5.0), (4.9, 9.9), (5.0, 40.0), (19.0, 54.0), (99.0, 55.0)]
)
def test_a_time_in_the_kept_signal_is_one_of_the_recording(at_s, expected_s):
    kept = frames((5.0, 10.0), (40.0, 55.0))
    assert original_s(at_s, kept, RATE_HZ) == pytest.approx(expected_s)


def test_everything_kept_is_measured_as_it_is():
    recording = SignalRecording(Signal(duration_s=2.0, code_shapes=(stuck(1.0, 7),)), 0)
    assert measure_kept(recording, frames((0.0, 2.0))).flat_fraction == 1.0
