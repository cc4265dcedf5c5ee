"""Walks over a recording and keeps what its windows show, in memory of one window.

The first look is a bounded sample over the whole duration. Where that shows nothing more than
noise, a second and longer one follows before anybody believes it: its windows are at random in
equal parts of the recording, so that no rhythm of the activity can hide from them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording

from spikefleet.core.recording.windows import Frames, spread_frames
from spikefleet.signal.filtering.band_pass import Implementation, choose_implementation
from spikefleet.signal.formats.reader_errors import reading_traces
from spikefleet.signal.measuring.activity import CrossingCounter, CrossingTally
from spikefleet.signal.measuring.channel_extremes import ChannelExtremes
from spikefleet.signal.measuring.mains_hum import RawLoad
from spikefleet.signal.measuring.spikes_in_noise import count_crossings

RAIL_LIMIT = 0.5
# Share of the raw power below 1 kHz above which hum may hide spikes.
HUM_LIMIT = 0.3
# Before "no spikes" is believed, up to this many windows, and this many samples, are looked at.
_SECOND_LOOK_WINDOWS = 300
_SECOND_LOOK_SAMPLES = 3_500_000_000
_SAMPLES_AT_ONCE = 12_000_000
_RAW_WINDOWS = 3
_GOLDEN = (5**0.5 - 1) / 2


class Survey:
    """Accumulates what the windows of one recording show."""

    def __init__(self, recording: BaseRecording, window_s: float) -> None:
        self._recording = recording
        self.rate_hz = float(recording.sampling_frequency)
        self.n_samples = int(recording.get_num_samples())
        self.n_channels = int(recording.get_num_channels())
        self.gains = np.asarray(recording.get_channel_gains(), dtype=np.float64)
        self.offsets = np.asarray(recording.get_channel_offsets(), dtype=np.float64)
        self._dtype = np.dtype(recording.get_dtype())
        is_integer = self._dtype.kind in "iu"
        self.lsb_uv = np.abs(self.gains) if is_integer else np.zeros(self.n_channels)
        wanted = max(1, round(window_s * self.rate_hz))
        self.window = max(1, min(wanted, _SAMPLES_AT_ONCE // self.n_channels, self.n_samples))
        self._shrunk = wanted / self.window
        self._implementation: Implementation = choose_implementation(
            self.n_channels * min(self.n_samples, 20 * self.window)
        )
        self.extremes = ChannelExtremes(self.n_channels, self._dtype)
        self.raw = RawLoad(self.n_channels, self.rate_hz)
        self._counter = CrossingCounter(self.n_channels, self.rate_hz)
        self._noise_uv: list[NDArray[np.float64]] = []
        # Per window: middle (s), milliseconds with a crossing on any channel, seconds looked at.
        self.over_time: list[tuple[float, int, float]] = []
        self.n_negative = 0
        self.measured = 0
        self._hum_hz = 0.0

    def windows(self, n_windows: int) -> int:
        """Return how many windows cover the same time when memory made them shorter."""
        return max(1, round(n_windows * min(self._shrunk, 10.0)))

    def look_over(self, n_windows: int) -> None:
        """Measure the first sample: everything, in windows spread evenly."""
        spans = spread_frames(self.n_samples, self.window, self.windows(n_windows))
        raw = set(np.linspace(0, len(spans) - 1, min(_RAW_WINDOWS, len(spans))).astype(int))
        for index, frames in enumerate(spans):
            codes = self._read(frames)
            self.extremes.add(codes)
            if index in raw:
                self.raw.add(codes)
            self._count(codes, frames)
            self.measured += frames[1] - frames[0]

    def look_longer(self) -> None:
        """Count crossings in more windows, without hum, until there are too many for noise."""
        share, hum_hz = self.raw.hum()
        self._hum_hz = hum_hz if share > HUM_LIMIT else 0.0
        seen_all = self.measured >= self.n_samples and not self._hum_hz
        if seen_all or not self._counter.channel_seconds:
            return
        self._counter = CrossingCounter(self.n_channels, self.rate_hz)
        self.over_time = []
        self.n_negative = 0
        for frames in self._scattered():
            self._count(self._read(frames), frames)
            if not self.seems_spikeless():
                return

    def look_until_spikes(self, n_windows: int) -> None:
        """Count crossings in windows, each far from those before, until there are too many."""
        spans = spread_frames(self.n_samples, self.window, self.windows(n_windows))
        for index in sorted(range(len(spans)), key=lambda index: index * _GOLDEN % 1.0):
            frames = spans[index]
            codes = self._read(frames)
            self.extremes.add(codes)
            if len(self.over_time) < _RAW_WINDOWS:
                self.raw.add(codes)
            self._count(codes, frames)
            self.measured += frames[1] - frames[0]
            if not self.seems_spikeless():
                return

    def seems_spikeless(self) -> bool:
        """Say whether what was counted so far is not more than noise gives."""
        return self.tally().noise_explains_it

    def tally(self) -> CrossingTally:
        """Add up what was counted so far; channels at a rail prove nothing."""
        return self._counter.tally(left_out=self.rail_fraction() >= RAIL_LIMIT)

    def rail_fraction(self) -> NDArray[np.float64]:
        """Return each channel's share of samples at a rail, in the first sample."""
        return self.extremes.rail_fraction(self.measured)

    def active_channels(self) -> NDArray[np.bool_]:
        """Channels that show more than noise on their own."""
        active: NDArray[np.bool_] = self._counter.active_channels()
        return active & (self.rail_fraction() < RAIL_LIMIT)

    def noise_uv(self) -> NDArray[np.float64]:
        """Return each channel's noise: the median over the windows."""
        noise: NDArray[np.float64] = np.median(self._noise_uv, axis=0)
        return noise

    def _scattered(self) -> list[Frames]:
        """Return the windows of the second look, in order of time."""
        most = max(1, _SECOND_LOOK_SAMPLES // (self.window * self.n_channels))
        n_windows = min(self.windows(_SECOND_LOOK_WINDOWS), most)
        if self.window * n_windows >= self.n_samples:
            return list(spread_frames(self.n_samples, self.window, n_windows))
        # The same seed always: a verdict must not depend on the day.
        shares = np.random.default_rng(0).uniform(size=n_windows)
        part = self.n_samples / n_windows
        starts = ((np.arange(n_windows) + shares * (1 - self.window / part)) * part).astype(int)
        return [(int(start), int(start) + self.window) for start in starts]

    def _read(self, frames: Frames) -> NDArray[Any]:
        with reading_traces():
            codes: NDArray[Any] = self._recording.get_traces(
                start_frame=frames[0], end_frame=frames[1]
            )
        return codes

    def _count(self, codes: NDArray[Any], frames: Frames) -> None:
        uv = codes.astype(np.float32)
        if self._dtype.kind == "f":
            np.nan_to_num(uv, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        # Before scaling, so that a large mid-code costs no precision.
        uv -= uv[:1].copy()
        uv *= self.gains.astype(np.float32)
        found = count_crossings(uv, self.rate_hz, self.lsb_uv, self._implementation, self._hum_hz)
        self._counter.add(found)
        self._noise_uv.append(found.noise_uv)
        self.n_negative += int(found.negative.sum())
        middle_s = (frames[0] + frames[1]) / 2 / self.rate_hz
        self.over_time.append((middle_s, found.n_moments, found.seconds))
