"""Measuring a signal before any sorter sees it, and the one verdict the measurements allow.

Looks at a bounded sample spread over the whole recording, and at every sample where only that can
find the fault (NaN in float data, or an apparent absence of spikes). Says whether a recording can
be sorted at all; how well is for the curation of units to say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording

from spikefleet.core.recordings.edge import reading_traces
from spikefleet.core.recordings.measurements import SignalMeasurements
from spikefleet.core.recordings.rails import ChannelExtremes
from spikefleet.core.recordings.spikes_in_noise import (
    Crossings,
    CrossingTally,
    count_crossings,
    gaussian_rate_hz,
    tally,
)
from spikefleet.core.recordings.verdict import signal_failure
from spikefleet.core.recordings.windows import Frames, spread_frames

__all__ = ["SignalMeasurements", "measure_signal", "search_for_spikes", "signal_failure"]

WINDOW_S = 1.0
N_WINDOWS = 20
# Before "no spikes" is believed, up to this many windows are looked at.
_SECOND_LOOK_WINDOWS = 300
_GOLDEN = (5**0.5 - 1) / 2
_SAMPLES_AT_ONCE = 12_000_000
_VOLTS_NOISE_UV = 0.05
_COARSE_NOISE_UV = 500.0


def measure_signal(
    recording: BaseRecording, *, window_s: float = WINDOW_S, n_windows: int = N_WINDOWS
) -> SignalMeasurements:
    """Measure one recording as ``open_recording`` returns it.

    Memory is bounded by one window (and by 12 million samples), time by ``n_windows``; a signal
    that seems to hold no spikes is looked at longer. Float recordings are scanned whole for
    samples that are not finite.

    Raises:
        InputCorruptError: the traces cannot be read.
    """
    survey = _Survey(recording, window_s)
    finite_fraction, first = _scan_finite(recording)
    for frames in spread_frames(survey.n_samples, survey.window, survey.windows(n_windows)):
        survey.look(frames)
    if first is None and survey.seems_spikeless():
        survey.look_longer(survey.windows(_SECOND_LOOK_WINDOWS))
    return survey.summarise(finite_fraction, first)


def search_for_spikes(recording: BaseRecording) -> CrossingTally:
    """Look until there is more than noise gives, at the windows ``measure_signal`` looks at.

    Whatever that lets pass is found here too; a recording with spikes usually costs one window.

    Raises:
        InputCorruptError: the traces cannot be read.
    """
    survey = _Survey(recording, WINDOW_S)
    survey.look_until_spikes(survey.windows(N_WINDOWS))
    if survey.seems_spikeless():
        survey.look_longer(survey.windows(_SECOND_LOOK_WINDOWS))
    return survey.tally()


class _Survey:
    """Accumulates what the windows of one recording show."""

    def __init__(self, recording: BaseRecording, window_s: float) -> None:
        self._recording = recording
        self._rate_hz = float(recording.sampling_frequency)
        self.n_samples = int(recording.get_num_samples())
        self._n_channels = int(recording.get_num_channels())
        self._gains = np.asarray(recording.get_channel_gains(), dtype=np.float64)
        self._offsets = np.asarray(recording.get_channel_offsets(), dtype=np.float64)
        self._dtype = np.dtype(recording.get_dtype())
        is_integer = self._dtype.kind in "iu"
        self._lsb_uv = np.abs(self._gains) if is_integer else np.zeros(self._n_channels)
        wanted = max(1, round(window_s * self._rate_hz))
        self.window = max(1, min(wanted, _SAMPLES_AT_ONCE // self._n_channels, self.n_samples))
        self._shrunk = wanted / self.window
        self._extremes = ChannelExtremes(self._n_channels, self._dtype)
        self._crossings: list[Crossings] = []
        self._measured = 0

    def windows(self, n_windows: int) -> int:
        """Return how many windows cover the same time when memory made them shorter."""
        return max(1, round(n_windows * min(self._shrunk, 10.0)))

    def look(self, frames: Frames) -> None:
        """Measure one window."""
        codes = self._read(frames)
        self._extremes.add(codes)
        self._count(codes)
        self._measured += frames[1] - frames[0]

    def look_longer(self, n_windows: int) -> None:
        """Count crossings in more windows, until there are too many for noise."""
        if self._measured >= self.n_samples or not any(e.channel_seconds for e in self._crossings):
            return
        self._crossings = []
        for frames in spread_frames(self.n_samples, self.window, n_windows)[:n_windows]:
            self._count(self._read(frames))
            if not self.seems_spikeless():
                return

    def look_until_spikes(self, n_windows: int) -> None:
        """Count crossings in windows, each far from those before, until there are too many."""
        windows = spread_frames(self.n_samples, self.window, n_windows)
        for index in sorted(range(len(windows)), key=lambda index: index * _GOLDEN % 1.0):
            frames = windows[index]
            self._count(self._read(frames))
            self._measured += frames[1] - frames[0]
            if not self.seems_spikeless():
                return

    def seems_spikeless(self) -> bool:
        """Say whether what was counted so far is no more than noise gives."""
        return self.tally().noise_explains_it

    def tally(self) -> CrossingTally:
        """Add up what was counted so far."""
        return tally(self._crossings, self._rate_hz)

    def summarise(
        self, finite_fraction: float, first: tuple[float, str] | None
    ) -> SignalMeasurements:
        ids = [str(channel) for channel in self._recording.channel_ids]
        seen = self._extremes
        noise_uv = np.median([entry.noise_uv for entry in self._crossings], axis=0)
        moving = noise_uv[noise_uv > 0]
        median_noise_uv = float(np.median(moving)) if moving.size else 0.0
        counted = self.tally()
        seconds = counted.channel_seconds
        negative = sum(int(entry.negative.sum()) for entry in self._crossings)
        low_uv = seen.low * self._gains + self._offsets
        high_uv = seen.high * self._gains + self._offsets
        flat, at_rail = seen.flat, seen.rail_fraction(self._measured)
        dropped = self._recording.get_annotation("dropped_frames")
        return SignalMeasurements(
            n_channels=self._n_channels,
            sampling_rate_hz=self._rate_hz,
            duration_s=self.n_samples / self._rate_hz,
            measured_s=self._measured / self._rate_hz,
            finite_fraction=finite_fraction,
            first_non_finite_s=first[0] if first else None,
            first_non_finite_channel=first[1] if first else None,
            noise_uv=tuple(float(value) for value in noise_uv),
            median_noise_uv=median_noise_uv,
            flat_channels=tuple(ids[index] for index in np.flatnonzero(flat)),
            flat_fraction=float(flat.mean()),
            silent_fraction=float(seen.silent.mean()),
            saturated_channels=tuple(ids[index] for index in np.flatnonzero(at_rail >= 0.5)),
            rail_fraction=float(at_rail.mean()),
            range_uv=(float(low_uv.min()), float(high_uv.max())),
            median_peak_to_peak_uv=float(np.median(high_uv - low_uv)),
            channel_seconds=seconds,
            n_crossings=counted.n_crossings,
            n_crossings_noise=counted.n_crossings_noise,
            negative_crossings_hz=negative / seconds if seconds else 0.0,
            gaussian_crossings_hz=gaussian_rate_hz(self._rate_hz),
            scale=self._scale(noise_uv, median_noise_uv),
            dropped_frames=int(dropped or 0),
        )

    def _read(self, frames: Frames) -> NDArray[Any]:
        with reading_traces():
            codes: NDArray[Any] = self._recording.get_traces(
                start_frame=frames[0], end_frame=frames[1]
            )
        return codes

    def _count(self, codes: NDArray[Any]) -> None:
        uv = codes.astype(np.float32)
        if self._dtype.kind == "f":
            np.nan_to_num(uv, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        # Before scaling, so that a large mid-code costs no precision.
        uv -= uv[:1].copy()
        uv *= self._gains.astype(np.float32)
        self._crossings.append(count_crossings(uv, self._rate_hz, self._lsb_uv))

    def _scale(self, noise_uv: NDArray[np.float64], median_noise_uv: float) -> str:
        if median_noise_uv == 0.0:
            return "unknown"
        if median_noise_uv > _COARSE_NOISE_UV:
            return "coarse"
        moving = noise_uv > 0
        in_counts = noise_uv[moving] > 3 * self._lsb_uv[moving]
        # Noise of a count or less says nothing of the scale: the converter was merely idle.
        return "volts" if median_noise_uv < _VOLTS_NOISE_UV and bool(in_counts.any()) else "ok"


def _scan_finite(recording: BaseRecording) -> tuple[float, tuple[float, str] | None]:
    """Return (the finite fraction, (time in s, channel) of the first sample that is not)."""
    if np.dtype(recording.get_dtype()).kind != "f":
        return 1.0, None
    n_samples, n_channels = recording.get_num_samples(), recording.get_num_channels()
    block = max(1, _SAMPLES_AT_ONCE // n_channels)
    n_bad, first = 0, None
    for start in range(0, n_samples, block):
        with reading_traces():
            traces = recording.get_traces(
                start_frame=start, end_frame=min(start + block, n_samples)
            )
        # One pass: a sum is finite unless a sample is not (or it overflows, which the next tells).
        if np.isfinite(np.sum(traces, dtype=np.float64)):
            continue
        bad = ~np.isfinite(traces)
        n_bad += int(bad.sum())
        if first is None and bad.any():
            frame = int(np.argmax(bad.any(axis=1)))
            channel = str(recording.channel_ids[int(np.argmax(bad[frame]))])
            first = ((start + frame) / float(recording.sampling_frequency), channel)
    return 1.0 - n_bad / (n_samples * n_channels), first
