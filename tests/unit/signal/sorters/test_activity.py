"""Silent or not, decided the same way before every sorter."""

from __future__ import annotations

import numpy as np
import pytest
from spikeinterface.core import NumpyRecording, NumpySorting

from spikefleet.core.failures.errors import InsufficientActivityError
from spikefleet.signal.measuring.activity import CrossingTally
from spikefleet.signal.measuring.measure import measure_signal, signal_failure
from spikefleet.signal.sorters.activity import require_activity, require_units

RATE_HZ = 20_000.0


def record(traces: np.ndarray) -> NumpyRecording:
    recording = NumpyRecording([traces], RATE_HZ)
    recording.set_channel_gains(0.5)
    recording.set_channel_offsets(0.0)
    return recording


def noise(seconds: float, n_channels: int = 4, sigma: float = 20.0) -> np.ndarray:
    rng = np.random.default_rng(1)
    shape = (int(seconds * RATE_HZ), n_channels)
    return rng.normal(0, sigma, shape).round().astype(np.int16)


def with_spikes(traces: np.ndarray, times_s: np.ndarray, amplitude: float = -400) -> np.ndarray:
    shape = np.array([0.3, 1.0, 0.6, 0.1, -0.3, -0.2]) * amplitude
    for start in (times_s * RATE_HZ).astype(int):
        traces[start : start + len(shape), 0] += shape.astype(np.int16)
    return traces


@pytest.mark.parametrize(
    "traces",
    [
        pytest.param(np.zeros((40_000, 4), np.int16), id="zeros"),
        pytest.param(np.full((40_000, 4), 32767, np.int16), id="rail"),
        pytest.param(noise(20), id="noise"),
        pytest.param(noise(20, n_channels=8) + 3000, id="noise on an offset"),
        pytest.param(noise(5, n_channels=16), id="noise on an array"),
        pytest.param(noise(5, sigma=0.6), id="noise of one step"),
        pytest.param(np.zeros((10, 2), np.float32), id="ten samples"),
    ],
)
def test_a_recording_without_spikes_is_silent(traces: np.ndarray) -> None:
    with pytest.raises(InsufficientActivityError) as raised:
        require_activity(record(traces), "kilosort4")
    assert raised.value.sorter == "kilosort4"
    assert raised.value.threshold_crossings <= raised.value.crossings_of_noise


def test_a_burst_anywhere_in_a_long_recording_is_found() -> None:
    traces = with_spikes(noise(60), 41.0 + np.arange(30) * 0.02)
    assert not require_activity(record(traces), "lupin").noise_explains_it


def test_an_active_recording_is_not_read_to_its_end() -> None:
    traces = with_spikes(noise(60), np.arange(0.5, 59.5, 0.05))
    found = require_activity(record(traces), "lupin")
    assert found.channel_seconds <= 3 * traces.shape[1]


def test_what_preflight_lets_pass_is_not_refused() -> None:
    for n_spikes in (1, 2, 3, 6):
        recording = record(with_spikes(noise(22, n_channels=2), 3.0 + np.arange(n_spikes) * 2.1))
        if signal_failure(measure_signal(recording)) is None:
            require_activity(recording, "lupin")


def test_not_a_number_is_not_activity() -> None:
    traces = noise(4).astype(np.float32)
    traces[1000:1200, 0] = np.nan
    with pytest.raises(InsufficientActivityError):
        require_activity(record(traces), "lupin")


def test_a_sorting_without_spikes_is_insufficient_activity() -> None:
    activity = CrossingTally(n_crossings=9, n_crossings_noise=2, channel_seconds=8.0)
    empty = NumpySorting.from_unit_dict([{0: np.array([], np.int64)}], RATE_HZ)
    with pytest.raises(InsufficientActivityError, match="found no units"):
        require_units(empty, "mountainsort5", activity)
