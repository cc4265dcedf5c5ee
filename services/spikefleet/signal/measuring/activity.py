"""Whether what stands out of a recording is more than noise alone would give.

Noise is Gaussian nearly, symmetric, and the same on every channel in units of its own sigma. Each
proof of the contrary looks for another kind of activity: crossings altogether (a busy recording),
on one channel (a sparse one), very large ones (a handful of clear spikes), and many more of one
sign than of the other (spikes hardly above the noise). Any one of them is enough.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import poisson

from spikefleet.signal.measuring.spikes_in_noise import (
    THRESHOLD_SIGMA,
    Crossings,
    usable_band_hz,
)

# Real noise is Gaussian only nearly, and its sigma is estimated: allow this many times the theory.
_TOLERANCE = 3.0
_ERROR_RATE = 1e-4
_FEWEST_EVENTS = 3
# One sign against the other: standard deviations, ratio and count that noise does not reach.
_SKEW_DEVIATIONS = 6.0
_SKEW_RATIO = 1.3
_SKEW_FEWEST = 40


@dataclass(frozen=True)
class CrossingTally:
    """What several stretches of one recording held together.

    ``n_crossings`` counts crossings of both signs, ``n_crossings_noise`` is the most that noise
    alone may show; ``n_moments`` counts the milliseconds that hold them, on whatever channel.
    ``proof`` names what noise does not explain, "" when it explains everything; ``proof_channel``
    is the index of the channel that shows it, where one does.
    """

    n_crossings: int
    n_crossings_noise: int
    channel_seconds: float
    n_moments: int = 0
    artifact_s: float = 0.0
    proof: str = ""
    proof_channel: int | None = None

    @property
    def noise_explains_it(self) -> bool:
        """Whether the stretches hold no more than noise gives: the one meaning of "no spikes"."""
        return not self.proof


class CrossingCounter:
    """Adds stretches up. Memory is that of one stretch, however many are added."""

    def __init__(self, n_channels: int, sampling_rate_hz: float) -> None:
        self._rate_hz = gaussian_rate_hz(sampling_rate_hz)
        self._crossings = np.zeros(n_channels, dtype=np.int64)
        self._moments = np.zeros(n_channels, dtype=np.int64)
        self._large = np.zeros(n_channels, dtype=np.int64)
        self._low = np.zeros((2, n_channels), dtype=np.int64)
        self._seconds = np.zeros(n_channels)
        self._n_moments, self._artifact_s = 0, 0.0
        self._n_low = np.zeros(2, dtype=np.int64)

    def add(self, found: Crossings) -> None:
        """Take one more stretch into account."""
        self._crossings += found.negative + found.positive
        self._moments += found.moments
        self._large += found.large
        self._low += found.low
        self._seconds += found.moving * found.seconds
        self._n_moments += found.n_moments
        self._n_low += np.asarray(found.n_low)
        self._artifact_s += found.artifact_s

    @property
    def channel_seconds(self) -> float:
        """Seconds looked at, summed over channels that move."""
        return float(self._seconds.sum())

    def tally(self, left_out: NDArray[np.bool_] | None = None) -> CrossingTally:
        """Add up, and look for a proof on the channels that are not ``left_out``."""
        expected = 2 * self._rate_hz * self.channel_seconds
        kept = np.ones(self._seconds.size, dtype=np.bool_) if left_out is None else ~left_out
        proof, channel = self._prove(kept)
        return CrossingTally(
            n_crossings=int(self._crossings.sum()),
            n_crossings_noise=largest_count_of_noise(expected),
            channel_seconds=self.channel_seconds,
            n_moments=self._n_moments,
            artifact_s=self._artifact_s,
            proof=proof,
            proof_channel=channel,
        )

    def active_channels(self) -> NDArray[np.bool_]:
        """Channels that show more on their own than noise would."""
        due = 2 * self._rate_hz * self._seconds
        error_rate = _ERROR_RATE / max(1, self._seconds.size)
        most = poisson.ppf(1 - error_rate, _TOLERANCE * due)
        active: NDArray[np.bool_] = (self._moments > most) & (self._moments >= _FEWEST_EVENTS)
        return active | (self._large >= _FEWEST_EVENTS)

    def _prove(self, kept: NDArray[np.bool_]) -> tuple[str, int | None]:
        if not kept.any():
            return "", None
        expected = 2 * self._rate_hz * float(self._seconds[kept].sum())
        # Moments are of all channels together, so they count only where none is left out.
        if kept.all() and self._n_moments > max(2, largest_count_of_noise(expected)):
            return "crossings", None
        for name, shown in (
            ("channel", self.active_channels() & kept),
            ("skewed_channel", _skewed(self._low) & kept),
        ):
            if shown.any():
                return name, int(np.argmax(np.where(shown, self._moments + self._low.sum(0), -1)))
        if kept.all() and bool(_skewed(self._n_low[:, np.newaxis])[0]):
            return "skewed", None
        return "", None


def tally(stretches: Iterable[Crossings], sampling_rate_hz: float) -> CrossingTally:
    """Add up what the stretches of one recording held."""
    entries = list(stretches)
    counter = CrossingCounter(entries[0].moving.size if entries else 1, sampling_rate_hz)
    for entry in entries:
        counter.add(entry)
    return counter.tally()


def gaussian_rate_hz(sampling_rate_hz: float, sigma: float = THRESHOLD_SIGMA) -> float:
    """Return how often Gaussian noise of the detection band crosses one threshold, per channel.

    Rice's formula for a flat band: the root mean square frequency times exp(-threshold² / 2).
    """
    low_hz, high_hz = usable_band_hz(sampling_rate_hz)
    rms_hz = math.sqrt((high_hz**3 - low_hz**3) / (3 * (high_hz - low_hz)))
    return rms_hz * math.exp(-(sigma**2) / 2)


def largest_count_of_noise(expected: float) -> int:
    """Return the most crossings that noise alone may show when ``expected`` are due."""
    return int(poisson.ppf(1 - _ERROR_RATE, _TOLERANCE * expected))


def _skewed(low: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return where one sign outnumbers the other (2 x channels) as symmetric noise would not."""
    more, less = low.max(axis=0), low.min(axis=0)
    both = more + less
    deviates = (more - less) >= _SKEW_DEVIATIONS * np.sqrt(np.maximum(both, 1))
    skewed: NDArray[np.bool_] = deviates & (more >= _SKEW_RATIO * less) & (both >= _SKEW_FEWEST)
    return skewed
