"""What stands out of the noise in a stretch of signal: threshold crossings, artifacts left out.

Works per channel on band-passed µV. The threshold is a robust multiple of the channel's own noise
in the same quarter of the stretch, so noise that grows is not mistaken for spikes. Counts only;
whether noise explains the counts is for ``activity`` to say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter

from spikefleet.signal.filtering.band_pass import BandPass, Implementation

BAND_HZ = (300.0, 6000.0)
THRESHOLD_SIGMA = 6.0
# Crossings of this height are common enough in noise to be compared by their sign.
LOW_SIGMA = 4.5
# Gaussian noise comes this high once in centuries.
LARGE_SIGMA = 8.0
MOMENT_S = 0.001
_MAD_TO_SIGMA = 1.4826
_NYQUIST_SHARE = 0.9
_EDGE_S = 0.005
_PARTS = 4
_NOISE_EVERY = 4
# A spike of less than this many counts is not told from the rounding of the converter.
_QUANTISATION_COUNTS = 2.5
# A spike is seen on neighbouring contacts, an artifact on nearly all of a large array.
_ARTIFACT_CHANNELS = 32
_ARTIFACT_SHARE = 0.7
_ARTIFACT_MARGIN_S = 0.005
_ORDER = 3
_HUM_TOP_HZ = 1500.0


@dataclass(frozen=True)
class Crossings:
    """What one stretch held; arrays are per channel.

    ``noise_uv`` is 0 for channels that never move. ``negative`` and ``positive`` count crossings of
    six sigma. The others count milliseconds: with a crossing of six sigma (``moments``), of eight
    (``large``), or of four and a half downwards and upwards (``low``, 2 x channels); ``n_moments``
    and ``n_low`` are milliseconds with one on any channel.
    """

    noise_uv: NDArray[np.float64]
    negative: NDArray[np.int64]
    positive: NDArray[np.int64]
    moments: NDArray[np.int64]
    large: NDArray[np.int64]
    low: NDArray[np.int64]
    n_moments: int
    n_low: tuple[int, int]
    moving: NDArray[np.bool_]  #: channels that move at all
    seconds: float  #: looked at
    artifact_s: float  #: of these taken by artifacts

    @property
    def channel_seconds(self) -> float:
        """Seconds looked at, summed over the channels that move."""
        return float(self.moving.sum() * self.seconds)


def usable_band_hz(sampling_rate_hz: float) -> tuple[float, float]:
    """Return the detection band that fits under this sampling rate's Nyquist frequency."""
    high_hz = min(BAND_HZ[1], _NYQUIST_SHARE * sampling_rate_hz / 2)
    return min(BAND_HZ[0], high_hz / 4), high_hz


def count_crossings(
    uv: NDArray[np.float32],
    sampling_rate_hz: float,
    lsb_uv: NDArray[np.float64],
    implementation: Implementation = "scipy",
    hum_hz: float = 0.0,
) -> Crossings:
    """Count what stands out in ``uv`` (samples x channels).

    ``lsb_uv`` is one count per channel, 0 for float sources. ``implementation`` is the filter's;
    both give the same counts. Harmonics of ``hum_hz`` inside the band are taken out first.
    """
    band_pass = _detection_band(sampling_rate_hz)
    n_samples, n_channels = uv.shape
    if n_samples <= 2 * band_pass.padding:
        return _nothing(n_channels)
    moving = np.ptp(uv, axis=0) > 0
    edge = min(round(_EDGE_S * sampling_rate_hz), n_samples // 4)
    filtered = band_pass.apply(uv, implementation)[edge : n_samples - edge]
    if hum_hz > 0:
        filtered = _without_hum(filtered, sampling_rate_hz, hum_hz)
    found = _find(filtered, moving, lsb_uv)
    per_moment = max(1, round(MOMENT_S * sampling_rate_hz))
    artifact_s = found.leave_artifacts_out(per_moment, int(moving.sum()))
    return found.count(
        per_moment, n_channels, moving, (len(filtered) / sampling_rate_hz, artifact_s)
    )


@cache
def _detection_band(sampling_rate_hz: float) -> BandPass:
    band_hz = usable_band_hz(sampling_rate_hz)
    sos = butter(_ORDER, band_hz, "bandpass", fs=sampling_rate_hz, output="sos")
    return BandPass(np.asarray(sos), 0, 3 * (2 * len(sos) + 1))


class _Found:
    """Samples beyond the low threshold: frame, channel, and height in units of six sigma."""

    def __init__(
        self,
        noise_uv: NDArray[np.float64],
        places: NDArray[np.int64],
        height: NDArray[np.float64],
    ) -> None:
        self._noise_uv = noise_uv
        n_channels = noise_uv.size
        self._frame, self._channel = np.divmod(places, n_channels)
        self._height = height

    def leave_artifacts_out(self, per_moment: int, n_moving: int) -> float:
        """Forget what nearly all of a large array shows in one moment; return the seconds lost."""
        if n_moving < _ARTIFACT_CHANNELS:
            return 0.0
        crossing = np.abs(self._height) >= 1.0
        both = np.unique(
            np.stack([self._frame[crossing] // per_moment, self._channel[crossing]]), axis=1
        )
        moments, counts = np.unique(both[0], return_counts=True)
        struck = moments[counts >= _ARTIFACT_SHARE * n_moving]
        if struck.size == 0:
            return 0.0
        margin = round(_ARTIFACT_MARGIN_S / MOMENT_S)
        blanked = np.unique(struck[:, np.newaxis] + np.arange(-margin, margin + 1))
        kept = ~np.isin(self._frame // per_moment, blanked)
        self._frame, self._channel = self._frame[kept], self._channel[kept]
        self._height = self._height[kept]
        return float(blanked.size * MOMENT_S)

    def count(
        self,
        per_moment: int,
        n_channels: int,
        moving: NDArray[np.bool_],
        lengths_s: tuple[float, float],
    ) -> Crossings:
        """Count everything that ``Crossings`` has."""
        crossing = np.abs(self._height) >= 1.0
        large = np.abs(self._height) >= LARGE_SIGMA / THRESHOLD_SIGMA
        down, up = self._height < 0, self._height > 0
        return Crossings(
            noise_uv=self._noise_uv,
            negative=self._onsets(crossing & down, n_channels),
            positive=self._onsets(crossing & up, n_channels),
            moments=self._moments(crossing, per_moment, n_channels),
            large=self._moments(large, per_moment, n_channels),
            low=np.stack([self._moments(side, per_moment, n_channels) for side in (down, up)]),
            n_moments=np.unique(self._frame[crossing] // per_moment).size,
            n_low=(
                np.unique(self._frame[down] // per_moment).size,
                np.unique(self._frame[up] // per_moment).size,
            ),
            moving=moving,
            seconds=lengths_s[0],
            artifact_s=lengths_s[1],
        )

    def _onsets(self, chosen: NDArray[np.bool_], n_channels: int) -> NDArray[np.int64]:
        """Count runs of neighbouring samples, per channel."""
        frame, channel = self._frame[chosen], self._channel[chosen]
        order = np.lexsort((frame, channel))
        frame, channel = frame[order], channel[order]
        is_onset = np.ones(frame.size, dtype=np.bool_)
        is_onset[1:] = (np.diff(frame) != 1) | (np.diff(channel) != 0)
        counts: NDArray[np.int64] = np.bincount(channel[is_onset], minlength=n_channels)
        return counts

    def _moments(
        self, chosen: NDArray[np.bool_], per_moment: int, n_channels: int
    ) -> NDArray[np.int64]:
        """Count milliseconds with a chosen sample, per channel."""
        moment = self._frame[chosen] // per_moment
        both = np.unique(moment * n_channels + self._channel[chosen])
        counts: NDArray[np.int64] = np.bincount(both % n_channels, minlength=n_channels)
        return counts


def _find(
    filtered: NDArray[np.float32], moving: NDArray[np.bool_], lsb_uv: NDArray[np.float64]
) -> _Found:
    n_channels = filtered.shape[1]
    noise, places, heights, start = [], [], [], 0
    for part in np.array_split(filtered, _PARTS, axis=0):
        sampled = np.ascontiguousarray(part[::_NOISE_EVERY].T)
        noise_uv = np.median(np.abs(sampled), axis=1).astype(np.float64) * _MAD_TO_SIGMA
        noise_uv[~moving] = 0.0
        threshold = np.maximum(THRESHOLD_SIGMA * noise_uv, _QUANTISATION_COUNTS * lsb_uv)
        threshold[~moving] = np.inf
        low = (threshold * (LOW_SIGMA / THRESHOLD_SIGMA)).astype(np.float32)
        found = np.flatnonzero(np.abs(part) > low)
        heights.append(part.reshape(-1)[found] / threshold[found % n_channels])
        places.append(found + start * n_channels)
        noise.append(noise_uv)
        start += len(part)
    return _Found(np.median(noise, axis=0), np.concatenate(places), np.concatenate(heights))


def _without_hum(
    filtered: NDArray[np.float32], sampling_rate_hz: float, hum_hz: float
) -> NDArray[np.float32]:
    """Fit the harmonics in each part, short enough for mains that wander, and subtract them."""
    low_hz = usable_band_hz(sampling_rate_hz)[0] / 2
    harmonics_hz = np.arange(math.ceil(low_hz / hum_hz), int(_HUM_TOP_HZ / hum_hz) + 1) * hum_hz
    kept = []
    for part in np.array_split(filtered, _PARTS, axis=0):
        phase = 2 * np.pi * harmonics_hz * (np.arange(len(part)) / sampling_rate_hz)[:, np.newaxis]
        waves, _ = np.linalg.qr(np.hstack([np.sin(phase), np.cos(phase)]))
        waves = waves.astype(np.float32)
        kept.append(part - waves @ (waves.T @ part))
    return np.concatenate(kept)


def _nothing(n_channels: int) -> Crossings:
    """What a stretch too short to filter shows."""
    none: NDArray[Any] = np.zeros(n_channels, dtype=np.int64)
    return Crossings(
        noise_uv=none.astype(np.float64),
        negative=none,
        positive=none,
        moments=none,
        large=none,
        low=np.zeros((2, n_channels), dtype=np.int64),
        n_moments=0,
        n_low=(0, 0),
        moving=none.astype(np.bool_),
        seconds=0.0,
        artifact_s=0.0,
    )
