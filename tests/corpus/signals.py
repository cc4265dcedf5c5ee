"""Small recordings that bring on a sorter's failures: 16 channels, two columns, 30 kHz.

Values are int16 codes of 0.195 µV, as most headstages give them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 30_000.0
N_CHANNELS = 16
UV_PER_CODE = 0.195
SECONDS = 20.0

Signal = NDArray[np.int16] | NDArray[np.float32]


def positions_um() -> NDArray[np.float64]:
    """Return the contacts of the probe: two columns, 20 µm apart."""
    rows = np.arange(N_CHANNELS)
    return np.column_stack([(rows % 2) * 20.0, (rows // 2) * 20.0])


def spike_times_s(rate_hz: float, seconds: float, seed: int) -> NDArray[np.float64]:
    """Return times at least 3 ms apart, inside the recording."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(0.003 + rng.exponential(1.0 / rate_hz, int(2 * rate_hz * seconds) + 50))
    inside: NDArray[np.float64] = times[times < seconds - 0.01]
    return inside


def make(
    seconds: float = SECONDS,
    *,
    noise: float = 30.0,
    times_s: list[NDArray[np.float64]] | None = None,
    amplitude: float = 600.0,
    after_wave: float = 0.35,
) -> NDArray[np.int16]:
    """Return noise with units in it: samples x channels. Amplitudes are codes."""
    rng = np.random.default_rng(7)
    signal = rng.normal(0.0, noise, (round(seconds * RATE_HZ), N_CHANNELS))
    t_ms = np.arange(-20, 41) / RATE_HZ * 1e3
    wave = -np.exp(-((t_ms / 0.15) ** 2)) + after_wave * np.exp(-(((t_ms - 0.45) / 0.25) ** 2))
    where = positions_um()
    for unit, times in enumerate(times_s or []):
        centre = where[(unit * 3 + 1) % N_CHANNELS]
        loss = np.exp(-np.linalg.norm(where - centre, axis=1) / 25.0)
        shape = amplitude * wave[:, None] * loss[None, :]
        for start in (times * RATE_HZ).astype(int) - 20:
            if start >= 0 and start + 61 <= len(signal):
                signal[start : start + 61] += shape
    return np.clip(signal, -32768, 32767).astype(np.int16)


def active(seconds: float = SECONDS, *, quiet_until_s: float = 0.0) -> NDArray[np.int16]:
    """Return five units at 10 Hz, silent before ``quiet_until_s``."""
    trains = [spike_times_s(10.0, seconds, seed) for seed in range(5)]
    return make(seconds, times_s=[train[train >= quiet_until_s] for train in trains])


def one_lsb() -> NDArray[np.int16]:
    """Return the converter's last bit moving, and nothing else."""
    rng = np.random.default_rng(1)
    return rng.integers(-1, 2, (round(SECONDS * RATE_HZ), N_CHANNELS)).astype(np.int16)


def constant(value: int | None) -> NDArray[np.int16]:
    """Return channels that never move: all at ``value``, or (None) each at its own."""
    levels = np.arange(100, 100 + N_CHANNELS) if value is None else np.full(N_CHANNELS, value)
    return np.tile(levels.astype(np.int16), (round(SECONDS * RATE_HZ), 1))


def few_spikes(count: int) -> NDArray[np.int16]:
    """Return ``count`` lonely spikes in the first two seconds, and nothing after them."""
    times = np.linspace(0.3, 1.7, count)
    return make(times_s=[times], amplitude=900.0, after_wave=0.0)


def rejected_by_isolation() -> NDArray[np.int16]:
    """Return large spikes whose own after-wave crosses the threshold as well."""
    return make(times_s=[spike_times_s(8.0, SECONDS, 0)], amplitude=1000.0, after_wave=0.9)


SIGNALS: dict[str, Callable[[], Signal]] = {
    "silent": lambda: constant(0),
    "flat": lambda: constant(None),
    "saturated": lambda: constant(32767),
    "one_lsb": one_lsb,
    "noise": make,
    "volts": lambda: (active() * np.float32(UV_PER_CODE * 1e-6)).astype(np.float32),
    "active": active,
    "quiet_start": lambda: active(quiet_until_s=2.1),
    "isolation": rejected_by_isolation,
    "one_spike": lambda: few_spikes(1),
    "three_spikes": lambda: few_spikes(3),
    "five_spikes": lambda: few_spikes(5),
    "one_second": lambda: active(1.0),
    "nan": lambda: np.full((round(SECONDS * RATE_HZ), N_CHANNELS), np.nan, dtype=np.float32),
    "empty": lambda: np.zeros((0, N_CHANNELS), dtype=np.int16),
}
