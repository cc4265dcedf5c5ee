"""Measuring a signal before any sorter sees it, and the one verdict the measurements allow.

Looks at a bounded sample spread over the whole recording, and longer where that seems to hold no
spikes. Says whether a recording can be sorted at all; how well is for the curation of units to say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording

from spikefleet.core.recording.measurements import ActivityAt, SignalMeasurements
from spikefleet.core.recording.verdict import signal_failure
from spikefleet.signal.measuring.activity import CrossingTally, gaussian_rate_hz
from spikefleet.signal.measuring.not_numbers import scan_finite
from spikefleet.signal.measuring.survey import RAIL_LIMIT, Survey

__all__ = ["SignalMeasurements", "measure_signal", "search_for_spikes", "signal_failure"]

WINDOW_S = 1.0
N_WINDOWS = 20
_VOLTS_NOISE_UV = 0.05
# No converter of an acquisition system has so fine a step.
_SMALLEST_LSB_UV = 0.002
_COARSE_NOISE_UV = 200.0
# Against the median of the channels that move.
_DEAD_RATIO, _NOISY_RATIO = 0.2, 5.0
_FEWEST_TO_COMPARE = 4
_TIME_POINTS = 40


def measure_signal(
    recording: BaseRecording, *, window_s: float = WINDOW_S, n_windows: int = N_WINDOWS
) -> SignalMeasurements:
    """Measure one recording as ``open_recording`` returns it.

    Memory is bounded by one window (and by 12 million samples), time by ``n_windows``; a signal
    that seems to hold no spikes is looked at longer. Float recordings are scanned for samples that
    are not finite, whole up to a limit.

    Raises:
        InputCorruptError: the traces cannot be read.
    """
    survey = Survey(recording, window_s)
    finite = scan_finite(recording)
    survey.look_over(n_windows)
    if finite.first_s is None and survey.seems_spikeless():
        survey.look_longer()
    return SignalMeasurements(
        n_channels=survey.n_channels,
        sampling_rate_hz=survey.rate_hz,
        duration_s=survey.n_samples / survey.rate_hz,
        measured_s=survey.measured / survey.rate_hz,
        finite_fraction=finite.fraction,
        first_non_finite_s=finite.first_s,
        first_non_finite_channel=finite.first_channel,
        dropped_frames=int(recording.get_annotation("dropped_frames") or 0),
        **_levels(survey, [str(channel) for channel in recording.channel_ids]),
        **_activity(survey),
    )


def _levels(survey: Survey, ids: list[str]) -> dict[str, Any]:
    """What the channels' values are: noise, range, rails, and which of them stand out."""

    def named(chosen: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(ids[index] for index in np.flatnonzero(chosen))

    noise_uv, seen = survey.noise_uv(), survey.extremes
    moving = noise_uv[noise_uv > 0]
    median_uv = float(np.median(moving)) if moving.size else 0.0
    compared = moving.size >= _FEWEST_TO_COMPARE
    low_uv = seen.low * survey.gains + survey.offsets
    high_uv = seen.high * survey.gains + survey.offsets
    at_rail = survey.rail_fraction()
    mains_fraction, mains_hz = survey.raw.hum()
    return {
        "noise_uv": tuple(float(value) for value in noise_uv),
        "median_noise_uv": median_uv,
        "flat_channels": named(seen.flat),
        "flat_fraction": float(seen.flat.mean()),
        "silent_fraction": float(seen.silent.mean()),
        "saturated_channels": named(at_rail >= RAIL_LIMIT),
        "rail_fraction": float(at_rail.mean()),
        "range_uv": (float(low_uv.min()), float(high_uv.max())),
        "median_peak_to_peak_uv": float(np.median(high_uv - low_uv)),
        "scale": _scale(survey, noise_uv, median_uv),
        "dead_channels": named(compared & (noise_uv > 0) & (noise_uv < _DEAD_RATIO * median_uv)),
        "noisy_channels": named(compared & (noise_uv > _NOISY_RATIO * median_uv)),
        "identical_channels": tuple(
            tuple(ids[index] for index in group) for group in survey.raw.repeated()
        ),
        "mains_fraction": mains_fraction,
        "mains_hz": mains_hz,
    }


def _activity(survey: Survey) -> dict[str, Any]:
    """What stands out of the noise, where and when."""
    counted = survey.tally()
    seconds = counted.channel_seconds
    looked_s = sum(length_s for _at_s, _n_moments, length_s in survey.over_time)
    return {
        "channel_seconds": seconds,
        "n_crossings": counted.n_crossings,
        "n_crossings_noise": counted.n_crossings_noise,
        "negative_crossings_hz": survey.n_negative / seconds if seconds else 0.0,
        "gaussian_crossings_hz": gaussian_rate_hz(survey.rate_hz),
        "activity": counted.proof,
        "n_moments": counted.n_moments,
        "n_active_channels": int(survey.active_channels().sum()),
        "activity_over_time": _over_time(survey),
        "artifact_fraction": counted.artifact_s / looked_s if looked_s else 0.0,
    }


def search_for_spikes(recording: BaseRecording) -> CrossingTally:
    """Look until there is more than noise gives, at the windows ``measure_signal`` looks at.

    Whatever that lets pass is found here too; a recording with spikes usually costs one window.

    Raises:
        InputCorruptError: the traces cannot be read.
    """
    survey = Survey(recording, WINDOW_S)
    survey.look_until_spikes(N_WINDOWS)
    if survey.seems_spikeless():
        survey.look_longer()
    return survey.tally()


def _over_time(survey: Survey) -> tuple[ActivityAt, ...]:
    """Join neighbouring windows, so that a long look is told in a few points."""
    points = survey.over_time
    joined = np.array_split(np.arange(len(points)), min(len(points), _TIME_POINTS))
    told = []
    for group in joined:
        moments = sum(points[index][1] for index in group)
        seconds = sum(points[index][2] for index in group)
        at_s = float(np.mean([points[index][0] for index in group]))
        told.append(ActivityAt(at_s, moments, seconds))
    return tuple(told)


def _scale(survey: Survey, noise_uv: NDArray[np.float64], median_noise_uv: float) -> str:
    if median_noise_uv == 0.0:
        return "unknown"
    if median_noise_uv > _COARSE_NOISE_UV:
        return "coarse"
    if median_noise_uv >= _VOLTS_NOISE_UV:
        return "ok"
    moving = noise_uv > 0
    in_counts = noise_uv[moving] > 3 * survey.lsb_uv[moving]
    too_fine = (survey.lsb_uv[moving] > 0) & (survey.lsb_uv[moving] < _SMALLEST_LSB_UV)
    # Noise of a count or less says nothing of the scale: the converter was merely idle.
    return "volts" if bool((in_counts | too_fine).any()) else "ok"
