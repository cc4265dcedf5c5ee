"""Traces as the network gets them: centred, with the noise of every block of 50 ms."""

from __future__ import annotations

import numpy as np
import pytest
from spikeinterface.core import NumpyRecording

from spikefleet.core.failures.errors import InsufficientActivityError
from spikefleet.rt_sort.traces import TraceSpan, centre, noise_gain

BLOCK = 1_000


def white(sigma_uv: float, frames: int = 5 * BLOCK, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sigma_uv, (3, frames)).astype(np.float32)


def span(traces: np.ndarray) -> TraceSpan:
    recording = NumpyRecording([traces.T.astype(np.float32)], 20_000.0)
    recording.set_channel_gains(1.0)
    recording.set_channel_offsets(0.0)
    return TraceSpan(recording, 0, traces.shape[1])


def test_white_noise_of_8_uv_is_measured_as_8_uv() -> None:
    assert np.abs(centre(white(8.0), BLOCK).noise - 8.0).max() < 0.8
    assert abs(np.median(centre(white(8.0, 60 * BLOCK), BLOCK).noise) - 8.0) < 0.1


@pytest.mark.parametrize("step_uv", [2.3, 6.3])
def test_the_noise_is_no_whole_step_of_a_coarse_converter(step_uv: float) -> None:
    coarse = (np.rint(white(5.0, 60 * BLOCK) / step_uv) * step_uv).astype(np.float32)
    noise = centre(coarse, BLOCK).noise
    assert np.median(noise) == pytest.approx(np.hypot(5.0, step_uv / 12**0.5), rel=0.2)
    assert noise.std() < 0.1 * noise.mean()


def test_an_electrode_without_noise_has_the_least() -> None:
    traces = white(8.0)
    traces[1] = 0.0
    assert (centre(traces, BLOCK).noise[1] == 0.5).all()


def test_an_offset_goes_with_the_median() -> None:
    traces = white(8.0)
    moved = centre(traces + np.float32(3_000.0), BLOCK).traces
    np.testing.assert_allclose(moved, centre(traces, BLOCK).traces, atol=1e-3)


def test_blanked_stretches_tell_nothing_of_the_noise() -> None:
    traces = white(8.0)
    traces[:, 200:900] = 0.0
    assert abs(centre(traces, BLOCK).noise[:, 0].mean() - 8.0) < 1.5


def test_values_that_are_no_numbers_become_zero_and_are_remembered() -> None:
    traces = white(8.0)
    traces[0, 100:300] = np.nan
    made = centre(traces, BLOCK)
    assert made.missing is not None
    assert made.missing[0, 100:300].all()
    assert made.missing.sum() == 200
    assert (made.traces[0, 100:300] == 0.0).all()
    assert np.abs(made.noise - 8.0).max() < 0.9


def test_the_gain_brings_the_noise_to_the_models() -> None:
    assert noise_gain(span(white(8.0)), BLOCK, 12.6) == pytest.approx(12.6 / (8 * 1.349), rel=0.05)
    assert noise_gain(span(white(8.0)), BLOCK, None) == 1.0


def test_a_flat_electrode_does_not_change_the_gain() -> None:
    traces = white(8.0)
    traces[2] = 5.0
    assert noise_gain(span(traces), BLOCK, 12.6) == pytest.approx(12.6 / (8 * 1.349), rel=0.05)


def test_a_burst_in_the_first_block_does_not_change_the_gain() -> None:
    traces = white(8.0)
    traces[:, :BLOCK] *= 20.0
    assert noise_gain(span(traces), BLOCK, 12.6) == pytest.approx(12.6 / (8 * 1.349), rel=0.1)
    assert noise_gain(span(traces), BLOCK, 12.6, first_only=True) < 0.1


def test_a_silent_recording_has_no_gain() -> None:
    with pytest.raises(InsufficientActivityError, match="silent"):
        noise_gain(span(np.zeros((3, 5 * BLOCK))), BLOCK, 12.6)
