"""Metrics per epoch: each of several recordings that were sorted as one, by itself.

What is counted is counted on the epoch's spikes. Its waveforms were not kept apart, so amplitude,
SNR and spread are those of the whole, changed as the amplitudes of the epoch's spikes differ from
those of all spikes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.text import counted
from spikefleet.signal.preparing.timeline import FileSpan, Timeline
from spikefleet.signal.units.quality import UnitQuality, measure_units
from spikefleet.signal.units.unit_data import FloatArray, UnitData

EPOCH_COLUMNS: tuple[str, ...] = (
    "unit_id",
    "epoch",
    "name",
    "spike_count",
    "firing_rate_hz",
    "isi_violation_count",
    "isi_percent",
    "isi_hill",
    "presence_ratio",
    "amplitude_median",
    "amplitude_uv",
    "snr",
    "std_norm",
)


@dataclass(frozen=True)
class RecordingEpoch:
    """One recording of several. ``data`` are all units with its spikes only, from its own start."""

    index: int
    name: str
    data: UnitData

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary of what it is; ``duration_s`` is what was sorted of it."""
        return {"epoch": self.index, "name": self.name, "duration_s": self.data.duration_s}


def epochs_of(data: UnitData) -> tuple[RecordingEpoch, ...]:
    """Return every epoch in order, those without a sorted sample too; one recording is one."""
    if data.timeline is None or len(data.timeline.files) < 2:
        name = data.timeline.files[0].name if data.timeline and data.timeline.files else ""
        return (RecordingEpoch(0, name, data),)
    return tuple(_epochs(data, data.timeline))


def _epochs(data: UnitData, timeline: Timeline) -> Iterable[RecordingEpoch]:
    begin = 0
    for index, (file, (first, _)) in enumerate(
        zip(timeline.files, timeline.file_bounds, strict=True)
    ):
        kept = tuple(
            (a - first, b - first) for where, (a, b) in timeline.pieces() if where == index
        )
        end = begin + sum(b - a for a, b in kept)
        inside = (data.spike_samples >= begin) & (data.spike_samples < end)
        amplitudes = data.spike_amplitudes_uv
        own = replace(
            data,
            duration_s=(end - begin) / data.sampling_rate_hz,
            spike_samples=data.spike_samples[inside] - begin,
            spike_units=data.spike_units[inside],
            spike_amplitudes_uv=amplitudes[inside] if amplitudes.size else amplitudes,
            timeline=_timeline(timeline.sampling_rate_hz, file, kept),
            aligned=data.aligned.part(inside) if data.aligned else None,
        )
        yield RecordingEpoch(index, file.name, own)
        begin = end


def _timeline(rate_hz: float, file: FileSpan, kept: tuple[tuple[int, int], ...]) -> Timeline | None:
    return Timeline(rate_hz, (file,), kept) if kept else None


def choose_epoch(epochs: Sequence[RecordingEpoch], index: int) -> RecordingEpoch:
    """Return one epoch. Raises InvalidConfigurationError where there is none of that index."""
    if index < len(epochs):
        return epochs[index]
    names = ", ".join(f"{epoch.index} ({epoch.name})" for epoch in epochs[:5] if epoch.name)
    known = names or "0"
    raise InvalidConfigurationError(
        f"curation.curation_epoch is {index}, but what was sorted has "
        f"{counted(len(epochs), 'recording epoch')}, counted from 0: {known}. Choose one of them, "
        "or null to measure on everything.",
        field="curation.curation_epoch",
        value=str(index),
    )


def measure_epoch(
    epoch: RecordingEpoch, data: UnitData, waveform: WaveformConfig, curation: CurationConfig
) -> tuple[UnitQuality, ...]:
    """Measure every unit of ``data`` on one of its epochs, in the same order."""
    if epoch.data is data:
        return measure_units(data, waveform, curation)
    here = epoch.data.amplitude_trains()
    whole = data.amplitude_trains()
    return tuple(
        replace(
            unit,
            amplitude_uv=unit.amplitude_uv * _ratio(_height(own), _height(every)),
            snr=unit.snr * _ratio(_height(own), _height(every)),
            std_norm=unit.std_norm * _ratio(_spread(own), _spread(every)),
        )
        for unit, own, every in zip(
            measure_units(epoch.data, waveform, curation), here, whole, strict=True
        )
    )


def _height(amplitudes: FloatArray) -> float:
    return abs(float(np.median(amplitudes))) if amplitudes.size else math.nan


def _spread(amplitudes: FloatArray) -> float:
    """Standard deviation over the mean; NaN below two spikes."""
    mean = abs(float(amplitudes.mean())) if amplitudes.size > 1 else 0.0
    return float(amplitudes.std()) / mean if mean else math.nan


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def epoch_records(
    epochs: Sequence[RecordingEpoch],
    data: UnitData,
    waveform: WaveformConfig,
    curation: CurationConfig,
) -> list[dict[str, Any]]:
    """Return the metrics of every unit in every epoch, one row each, JSON-ready; unit by unit.

    Nothing for a recording sorted alone.
    """
    if len(epochs) < 2:
        return []
    rows: list[list[dict[str, Any]]] = []
    for epoch in epochs:
        measured = measure_epoch(epoch, data, waveform, curation)
        amplitudes = epoch.data.amplitude_trains()
        rows.append(
            [_row(epoch, *each) for each in zip(measured, amplitudes, strict=True)],
        )
    return [row for of_unit in zip(*rows, strict=True) for row in of_unit]


def _row(epoch: RecordingEpoch, unit: UnitQuality, amplitudes: FloatArray) -> dict[str, Any]:
    median = float(np.median(amplitudes)) if amplitudes.size else None
    told = unit.to_json() | {
        "epoch": epoch.index,
        "name": epoch.name,
        "amplitude_median": median,
    }
    return {name: told[name] for name in EPOCH_COLUMNS}
