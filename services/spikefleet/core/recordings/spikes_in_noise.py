"""How many threshold crossings a stretch of signal has, and how many plain noise would have.

Works per channel on band-passed µV. The threshold is a robust multiple of the channel's own noise
in the same quarter of the stretch, so noise that grows is not mistaken for spikes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt
from scipy.stats import poisson

BAND_HZ = (300.0, 6000.0)
THRESHOLD_SIGMA = 6.0
_MAD_TO_SIGMA = 1.4826
_NYQUIST_SHARE = 0.9
_EDGE_S = 0.005
_PARTS = 4
# A spike of less than this many counts is not told from the rounding of the converter.
_QUANTISATION_COUNTS = 2.5
# Real noise is Gaussian only nearly, and its sigma is estimated: allow this many times the theory.
_TOLERANCE = 3.0
_CONFIDENCE = 0.9999


@dataclass(frozen=True)
class Crossings:
    """What one stretch held. ``noise_uv`` is per channel; channels that never move have 0."""

    noise_uv: NDArray[np.float64]
    negative: NDArray[np.int64]
    positive: NDArray[np.int64]
    channel_seconds: float


@dataclass(frozen=True)
class CrossingTally:
    """Crossings of both polarities over several stretches, beside the most that noise alone may
    show there."""

    n_crossings: int
    n_crossings_noise: int
    channel_seconds: float

    @property
    def noise_explains_it(self) -> bool:
        """Whether the stretches hold no more than noise gives: the one meaning of "no spikes"."""
        return self.n_crossings <= self.n_crossings_noise


def tally(stretches: Iterable[Crossings], sampling_rate_hz: float) -> CrossingTally:
    """Add up what the stretches of one recording held."""
    entries = list(stretches)
    seconds = sum(entry.channel_seconds for entry in entries)
    return CrossingTally(
        n_crossings=sum(int(entry.negative.sum() + entry.positive.sum()) for entry in entries),
        n_crossings_noise=largest_count_of_noise(2 * gaussian_rate_hz(sampling_rate_hz) * seconds),
        channel_seconds=seconds,
    )


def usable_band_hz(sampling_rate_hz: float) -> tuple[float, float]:
    """Return the detection band that fits under this sampling rate's Nyquist frequency."""
    high_hz = min(BAND_HZ[1], _NYQUIST_SHARE * sampling_rate_hz / 2)
    return min(BAND_HZ[0], high_hz / 4), high_hz


def count_crossings(
    uv: NDArray[np.float32], sampling_rate_hz: float, lsb_uv: NDArray[np.float64]
) -> Crossings:
    """Count the crossings of plus and minus six sigma in ``uv`` (samples x channels).

    ``lsb_uv`` is one count per channel, 0 for float sources.
    """
    sos = butter(3, usable_band_hz(sampling_rate_hz), "bandpass", fs=sampling_rate_hz, output="sos")
    by_channel = np.ascontiguousarray(uv.T, dtype=np.float32)
    padding = 3 * (2 * sos.shape[0] + 1)
    if by_channel.shape[1] <= 2 * padding:
        zeros = np.zeros(uv.shape[1])
        none = zeros.astype(np.int64)
        return Crossings(zeros, none, none, 0.0)
    filtered = sosfiltfilt(sos.astype(np.float32), by_channel, axis=1)
    edge = min(round(_EDGE_S * sampling_rate_hz), filtered.shape[1] // 4)
    filtered = filtered[:, edge : filtered.shape[1] - edge]
    filtered -= np.median(filtered, axis=1, keepdims=True)
    moving = np.ptp(by_channel, axis=1) > 0
    parts = [_count_part(part, moving, lsb_uv) for part in np.array_split(filtered, _PARTS, axis=1)]
    noise_uv = np.median([part.noise_uv for part in parts], axis=0)
    return Crossings(
        noise_uv=noise_uv,
        negative=np.sum([part.negative for part in parts], axis=0),
        positive=np.sum([part.positive for part in parts], axis=0),
        channel_seconds=float(moving.sum() * filtered.shape[1] / sampling_rate_hz),
    )


def _count_part(
    filtered: NDArray[np.float32], moving: NDArray[np.bool_], lsb_uv: NDArray[np.float64]
) -> Crossings:
    noise_uv = np.median(np.abs(filtered), axis=1).astype(np.float64) * _MAD_TO_SIGMA
    noise_uv[~moving] = 0.0
    threshold = np.maximum(THRESHOLD_SIGMA * noise_uv, _QUANTISATION_COUNTS * lsb_uv)
    threshold[~moving] = np.inf
    column = threshold[:, np.newaxis].astype(np.float32)
    return Crossings(
        noise_uv=noise_uv,
        negative=_onsets(filtered < -column),
        positive=_onsets(filtered > column),
        channel_seconds=0.0,
    )


def gaussian_rate_hz(sampling_rate_hz: float) -> float:
    """Return how often Gaussian noise of the detection band crosses one threshold, per channel.

    Rice's formula for a flat band: the root mean square frequency times exp(-threshold² / 2).
    """
    low_hz, high_hz = usable_band_hz(sampling_rate_hz)
    rms_hz = math.sqrt((high_hz**3 - low_hz**3) / (3 * (high_hz - low_hz)))
    return rms_hz * math.exp(-(THRESHOLD_SIGMA**2) / 2)


def largest_count_of_noise(expected: float) -> int:
    """Return the most crossings that noise alone may show when ``expected`` are due."""
    return int(poisson.ppf(_CONFIDENCE, _TOLERANCE * expected))


def _onsets(above: NDArray[np.bool_]) -> NDArray[np.int64]:
    counts: NDArray[Any] = np.count_nonzero(above[:, 1:] & ~above[:, :-1], axis=1)
    return counts.astype(np.int64)
