"""What rides on the raw signal, before any filter: mains hum, and channels that repeat another.

Looks at a few windows only; both last as long as the recording does.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAINS_HZ = (50.0, 60.0)
_CHANNELS = 32
# Power is compared below this frequency, where hum and slow potentials are.
_TOP_HZ = 1000.0
_FEWEST_CYCLES = 10


class RawLoad:
    """Hum and repeated channels over the windows added."""

    def __init__(self, n_channels: int, sampling_rate_hz: float) -> None:
        self._rate_hz = sampling_rate_hz
        step = max(1, n_channels // _CHANNELS)
        self._chosen = np.arange(0, n_channels, step)[:_CHANNELS]
        self._hum: list[list[float]] = []
        self._columns: list[list[bytes]] = []
        self._moving = np.ones(n_channels, dtype=np.bool_)

    def add(self, codes: NDArray[Any]) -> None:
        """Take a window of samples x channels into account."""
        by_channel = np.ascontiguousarray(codes.T)
        self._moving &= np.ptp(by_channel, axis=1) > 0
        self._columns.append(
            [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in by_channel]
        )
        if len(codes) >= _FEWEST_CYCLES * self._rate_hz / min(MAINS_HZ):
            slow, rate_hz = self._slowed(by_channel[self._chosen])
            self._hum.append([_share_at(slow, rate_hz, hz) for hz in MAINS_HZ])

    def hum(self) -> tuple[float, float]:
        """Return (share of the power below 1 kHz that is hum, its frequency in Hz)."""
        if not self._hum:
            return 0.0, 0.0
        shares = np.median(self._hum, axis=0)
        index = int(np.argmax(shares))
        return float(shares[index]), MAINS_HZ[index]

    def repeated(self) -> tuple[tuple[int, ...], ...]:
        """Return groups of channels that hold the same moving samples in every window."""
        groups: dict[tuple[bytes, ...], list[int]] = {}
        for index in np.flatnonzero(self._moving) if self._columns else ():
            told = tuple(window[index] for window in self._columns)
            groups.setdefault(told, []).append(int(index))
        return tuple(tuple(group) for group in groups.values() if len(group) > 1)

    def _slowed(self, by_channel: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
        """Average neighbouring samples, down to twice the highest frequency compared."""
        factor = max(1, int(self._rate_hz // (2 * _TOP_HZ)))
        whole = by_channel.shape[1] // factor * factor
        slow = by_channel[:, :whole].astype(np.float64).reshape(len(by_channel), -1, factor)
        return np.nan_to_num(slow).mean(axis=2), self._rate_hz / factor


def _share_at(slow: NDArray[np.float64], rate_hz: float, mains_hz: float) -> float:
    """Return the median channel's share of power at a mains frequency and its harmonics."""
    n_samples = slow.shape[1]
    tapered = (slow - slow.mean(axis=1, keepdims=True)) * np.hanning(n_samples)
    power = np.abs(np.fft.rfft(tapered, axis=1)) ** 2
    at_hz = np.fft.rfftfreq(n_samples, 1.0 / rate_hz)
    told = (at_hz >= 1.0) & (at_hz <= _TOP_HZ)
    width_hz = 2.5 * rate_hz / n_samples
    near = np.zeros_like(told)
    # All of them: of a signal that was band-passed already only the higher ones are left.
    for harmonic in range(1, int(_TOP_HZ // mains_hz) + 1):
        near |= np.abs(at_hz - harmonic * mains_hz) <= width_hz
    total = power[:, told].sum(axis=1)
    share = power[:, told & near].sum(axis=1) / np.where(total > 0, total, 1.0)
    return float(np.median(share))
