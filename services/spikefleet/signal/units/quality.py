"""Quality metrics of sorted units: counts, rates, refractory violations, SNR, template spread.

Decides what each metric means and nothing about which unit is good; that is ``curate``. A metric
that cannot be measured is NaN, never zero. The firing rate is taken over what was sorted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.signal.units.unit_data import FloatArray, IntArray, UnitData

_PRESENCE_BIN_S = 60.0
_PRESENCE_BINS_MIN = 10


@dataclass(frozen=True)
class UnitQuality:
    """Metrics of one unit. ``isi_percent`` is violations over spikes, a fraction as its bar is."""

    unit_id: str  #: as the sorter called it
    spike_count: int  #: spikes
    firing_rate_hz: float  #: over what was sorted
    isi_violation_count: int  #: intervals below the refractory period
    isi_percent: float
    isi_hill: float  #: contamination by violations (Hill)
    snr: float  #: peak over noise on its channel
    amplitude_uv: float  #: of its largest channel
    std_norm: float  #: spread of waveforms over the amplitude
    presence_ratio: float  #: share of the time it fires
    channel_id: str  #: its largest channel
    channel_index: int  #: the same, counted from 0
    x_um: float  #: where it is
    y_um: float  #: where it is
    has_positive_peak: bool  #: its largest peak points up

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; what could not be measured is None."""
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in vars(self).items()  # ``asdict`` copies each value, deeply
        }


def count_isi_violations(
    spike_samples: IntArray,
    spike_units: IntArray,
    unit_count: int,
    *,
    threshold_samples: float,
    seams: IntArray | None = None,
) -> IntArray:
    """Count intervals shorter than the threshold (strictly) per unit, (U,).

    An interval that spans one of the ``seams`` (samples before which time jumps) is none.
    """
    order = np.argsort(spike_units, kind="stable")
    units, samples = spike_units[order], spike_samples[order]
    short = (np.diff(samples) < threshold_samples) & (units[1:] == units[:-1])
    if seams is not None and seams.size:
        stretch = np.searchsorted(seams, samples, side="right")
        short &= stretch[1:] == stretch[:-1]
    return np.bincount(units[1:][short], minlength=unit_count).astype(np.int64)


def isi_hill(
    violations: IntArray,
    counts: IntArray,
    *,
    duration_s: float,
    threshold_s: float,
    censored_s: float = 0.0,
) -> FloatArray:
    """Violation rate in the refractory period over the unit's own rate; 0 below two spikes.

    Nothing is expected in the first ``censored_s`` of that period.
    """
    rate = counts / duration_s if duration_s > 0 else np.full(len(counts), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = violations / (2.0 * counts * (threshold_s - censored_s)) / rate
    return np.where(counts < 2, 0.0, ratio)


def presence_ratios(data: UnitData) -> FloatArray:
    """Share of time bins with a spike, (U,). Bins are 60 s, or a tenth of a short recording."""
    if data.duration_s <= 0:
        return np.full(data.unit_count, np.nan)
    bins = max(_PRESENCE_BINS_MIN, round(data.duration_s / _PRESENCE_BIN_S))
    position = data.spike_samples / (data.duration_s * data.sampling_rate_hz)
    index = np.clip((position * bins).astype(np.int64), 0, bins - 1)
    seen = np.zeros((data.unit_count, bins), dtype=bool)
    seen[data.spike_units, index] = True
    return np.asarray(seen.mean(axis=1), dtype=np.float64)


@dataclass(frozen=True)
class _Peaks:
    """Where each unit is largest: sign, channel, sample (of T) and absolute height, all (U,)."""

    positive: np.ndarray[Any, np.dtype[np.bool_]]
    channel: IntArray
    sample: IntArray
    amplitude_uv: FloatArray


def find_peaks(templates_uv: FloatArray, *, positive_peak_ratio: float = 2.0) -> _Peaks:
    """Find polarity, largest channel and peak sample of every template of (U, T, C)."""
    unit_count, sample_count, _ = templates_uv.shape
    if unit_count == 0 or sample_count == 0:
        nothing = np.zeros(unit_count, dtype=np.int64)
        return _Peaks(nothing.astype(bool), nothing, nothing, np.full(unit_count, np.nan))
    highest, lowest = templates_uv.max(axis=1), templates_uv.min(axis=1)
    positive = highest.max(axis=1) >= positive_peak_ratio * np.abs(lowest.min(axis=1))
    positive &= highest.max(axis=1) > 0
    channel = np.where(positive, highest.argmax(axis=1), lowest.argmin(axis=1))
    rows = np.arange(unit_count)
    magnitude = np.abs(templates_uv[rows, :, channel])
    sample = magnitude.argmax(axis=1)
    return _Peaks(positive, channel, sample, magnitude[rows, sample])


def normalised_stds(data: UnitData, peaks: _Peaks, settings: WaveformConfig) -> FloatArray:
    """Spread of the waveforms on the largest channel over the amplitude, (U,); inf at zero."""
    if data.template_stds_uv.shape[1] == 0:
        return np.full(data.unit_count, np.nan)
    stds = data.template_stds_uv[np.arange(data.unit_count), :, peaks.channel]
    if settings.std_at_peak:
        spread = stds[np.arange(data.unit_count), peaks.sample]
    else:
        before = int(settings.std_over_window_ms_before * data.sampling_rate_hz / 1000)
        after = int(settings.std_over_window_ms_after * data.sampling_rate_hz / 1000)
        spread = np.array(
            [
                row[max(0, peak - before) : peak + after + 1].mean()
                for row, peak in zip(stds, peaks.sample, strict=True)
            ]
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(peaks.amplitude_uv > 0, spread / peaks.amplitude_uv, np.inf)


def measure_units(
    data: UnitData,
    settings: WaveformConfig | None = None,
    curation: CurationConfig | None = None,
) -> tuple[UnitQuality, ...]:
    """Measure every unit, in the order of ``data.unit_ids``. No units give an empty tuple.

    ``curation`` says how long a refractory period is.
    """
    if data.unit_count == 0:
        return ()
    settings, curation = settings or WaveformConfig(), curation or CurationConfig()
    counts = data.spike_counts()
    threshold_s = curation.refractory_period_ms / 1000
    violations = count_isi_violations(
        data.spike_samples,
        data.spike_units,
        data.unit_count,
        threshold_samples=threshold_s * data.sampling_rate_hz,
        seams=data.seams,
    )
    peaks = find_peaks(data.templates_uv, positive_peak_ratio=settings.pos_peak_thresh)
    noise = data.noise_uv[peaks.channel]
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = np.where(noise == 0, 0.0, peaks.amplitude_uv / noise)
        percent = np.where(counts < 2, 0.0, violations / counts)
    hill = isi_hill(
        violations,
        counts,
        duration_s=data.duration_s,
        threshold_s=threshold_s,
        censored_s=curation.censored_period_ms / 1000,
    )
    std_norm = normalised_stds(data, peaks, settings)
    presence = presence_ratios(data)
    fallback = data.channel_locations_um[peaks.channel]
    locations = np.where(np.isfinite(data.unit_locations_um), data.unit_locations_um, fallback)
    rate = counts / data.duration_s if data.duration_s > 0 else np.full(len(counts), np.nan)
    return tuple(
        UnitQuality(
            unit_id=unit_id,
            spike_count=int(counts[i]),
            firing_rate_hz=float(rate[i]),
            isi_violation_count=int(violations[i]),
            isi_percent=float(percent[i]),
            isi_hill=float(hill[i]),
            snr=float(snr[i]),
            amplitude_uv=float(peaks.amplitude_uv[i]),
            std_norm=float(std_norm[i]),
            presence_ratio=float(presence[i]),
            channel_id=data.channel_ids[int(peaks.channel[i])],
            channel_index=int(peaks.channel[i]),
            x_um=float(locations[i, 0]),
            y_um=float(locations[i, 1]),
            has_positive_peak=bool(peaks.positive[i]),
        )
        for i, unit_id in enumerate(data.unit_ids)
    )
