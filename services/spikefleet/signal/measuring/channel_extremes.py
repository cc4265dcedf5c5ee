"""Channels that never move, and samples that sit at a rail.

A rail is the limit of the stored type or of a converter of 9 to 16 bits, or, for a channel that
takes many values, its own highest or lowest one held for two samples or more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_FEWEST_VALUES = 16
_CONVERTER_BITS = range(9, 17)


class ChannelExtremes:
    """Lowest and highest stored value of every channel over the windows added, and time at them."""

    def __init__(self, n_channels: int, dtype: np.dtype[Any]) -> None:
        self._unsigned = dtype.kind == "u"
        self._is_integer = dtype.kind in "iu"
        self.low = np.full(n_channels, np.inf)
        self.high = np.full(n_channels, -np.inf)
        self._held_low = np.zeros(n_channels, dtype=np.int64)
        self._held_high = np.zeros(n_channels, dtype=np.int64)
        self._n_values = np.zeros(n_channels, dtype=np.int64)

    def add(self, codes: NDArray[Any]) -> None:
        """Take a window of samples x channels into account."""
        if codes.dtype.kind == "f":
            codes = np.nan_to_num(codes, nan=0.0, posinf=0.0, neginf=0.0)
        low = codes.min(axis=0).astype(np.float64)
        high = codes.max(axis=0).astype(np.float64)
        self._held_low = _hold(self._held_low, low < self.low, low == self.low, codes, low)
        self._held_high = _hold(self._held_high, high > self.high, high == self.high, codes, high)
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)
        for channel in np.flatnonzero(self._n_values < _FEWEST_VALUES):
            count = np.unique(codes[:, channel]).size
            self._n_values[channel] = max(self._n_values[channel], count)

    @property
    def flat(self) -> NDArray[np.bool_]:
        """Channels that keep one value, other than a rail."""
        stuck: NDArray[np.bool_] = (self.low == self.high) & ~self._at_limit(self.low)
        return stuck

    @property
    def silent(self) -> NDArray[np.bool_]:
        """Channels of digital silence: zeros, or the same mid-code everywhere if unsigned."""
        stuck = self.low == self.high
        if self._unsigned and stuck.all() and np.unique(self.low).size == 1:
            return self.flat
        silent: NDArray[np.bool_] = stuck & (self.low == 0)
        return silent

    def rail_fraction(self, n_samples: int) -> NDArray[np.float64]:
        """Return the fraction of samples at a rail, per channel."""
        varied = self._n_values >= _FEWEST_VALUES
        low = self._held_low * (varied | self._at_limit(self.low))
        high = self._held_high * (varied | self._at_limit(self.high))
        stuck = self.low == self.high
        return np.where(stuck, high, low + high) / max(1, n_samples)

    def _at_limit(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        if not self._is_integer:
            return np.zeros(values.size, dtype=np.bool_)
        limits = [2.0**bits - 1 for bits in _CONVERTER_BITS]
        if not self._unsigned:
            limits += [-(2.0**bits) for bits in _CONVERTER_BITS]
        reached: NDArray[np.bool_] = np.isin(values, limits)
        return reached


def _hold(
    held: NDArray[np.int64],
    is_new: NDArray[np.bool_],
    is_same: NDArray[np.bool_],
    codes: NDArray[Any],
    value: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Count samples at ``value`` in runs of two or more; a new extreme starts the count afresh."""
    relevant = np.flatnonzero(is_new | is_same)
    kept = np.where(is_new, 0, held)
    at_value = codes[:, relevant] == value[relevant].astype(codes.dtype)
    neighbour = np.zeros_like(at_value)
    neighbour[1:] |= at_value[:-1]
    neighbour[:-1] |= at_value[1:]
    kept[relevant] += (at_value & neighbour).sum(axis=0)
    return kept
