"""What a sorting left behind, as plain arrays: the one reader of an analyzer folder.

Metrics, curation, export and the report's figures all work on ``UnitData``. Nothing here looks at
raw data or decides anything; an extension that is missing becomes an empty array.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.preparing.timeline import Timeline
from spikefleet.signal.units.aligned_spikes import AlignedSpikes, read_aligned
from spikefleet.signal.units.analyzer_folder import open_analyzer, reading
from spikefleet.signal.units.library_metrics import LibraryMetrics, read_library_metrics
from spikefleet.signal.units.template_likeness import TemplateLikeness
from spikefleet.signal.units.unit_names import channel_names, unit_names

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_Number = TypeVar("_Number", np.float64, np.int64)


@dataclass(frozen=True)
class UnitData:
    """U units on C channels with templates of T samples.

    ``spike_samples`` and ``spike_units`` (index into ``unit_ids``) list every spike in time order.
    ``templates_uv`` and ``template_stds_uv`` are (U, T, C), ``noise_uv`` is (C,) and a robust
    standard deviation, locations are (·, 2) in µm, ``spike_amplitudes_uv`` is as long as
    ``spike_samples`` or empty. ``peak_index`` is the sample of the templates that is on a spike.

    ``spike_samples`` and ``duration_s`` count what was sorted: windows and files joined. A person
    is given ``original_samples``, which ``timeline`` maps them to; None: sorted from end to end.
    """

    unit_ids: tuple[str, ...]
    channel_ids: tuple[str, ...]  #: in order
    sampling_rate_hz: float  #: of what was sorted
    duration_s: float
    spike_samples: IntArray
    spike_units: IntArray
    templates_uv: FloatArray
    template_stds_uv: FloatArray
    noise_uv: FloatArray
    channel_locations_um: FloatArray  #: (C, 2)
    unit_locations_um: FloatArray  #: (U, 2)
    spike_amplitudes_uv: FloatArray
    peak_index: int
    timeline: Timeline | None = None
    #: (spikes, 2) in the order of ``spike_samples``; empty where the sort did not measure them
    spike_locations_um: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    library: LibraryMetrics = field(default_factory=LibraryMetrics)  #: of earlier sorts nothing
    aligned: AlignedSpikes | None = None  #: of earlier sorts nothing

    @property
    def original_samples(self) -> IntArray:
        """Where every spike is in what was recorded, in frames from the first file's start.

        As long as ``spike_samples``, in the same order. Raises InputCorruptError when the timeline
        is that of another sort.
        """
        if self.timeline is None:
            return self.spike_samples
        try:
            return self.timeline.to_original(self.spike_samples)
        except ValueError as error:
            raise InputCorruptError(
                "The sort's timeline does not fit its spikes; sort the run again.",
                reason="timeline_mismatch",
            ) from error

    @property
    def aligned_samples(self) -> IntArray:
        """Where every spike's own peak is, on the clock of ``spike_samples`` and in their order.

        The sorter's times where the sort kept no alignment.
        """
        if self.aligned is None or self.aligned.shifts.shape != self.spike_samples.shape:
            return self.spike_samples
        return self.spike_samples + self.aligned.shifts

    @property
    def original_s(self) -> float:
        """Length of the recording, whatever part of it was sorted."""
        if self.timeline is None:
            return self.duration_s
        return self.timeline.n_original / self.sampling_rate_hz

    @cached_property
    def likeness(self) -> TemplateLikeness:
        """How alike the templates are; made once."""
        return TemplateLikeness(self.templates_uv)

    @cached_property
    def seams(self) -> IntArray:
        """Sorted samples before which time jumps or another file begins."""
        found = () if self.timeline is None else self.timeline.seams
        return np.asarray(found, dtype=np.int64)

    @property
    def unit_count(self) -> int:
        """Number of units."""
        return len(self.unit_ids)

    @property
    def edge_spike_count(self) -> int:
        """Spikes nearer to an end of what was sorted than the window: they have no waveform."""
        n_window = self.templates_uv.shape[1]
        margin = max(self.peak_index, n_window - self.peak_index)
        end = round(self.duration_s * self.sampling_rate_hz) - margin
        at = self.spike_samples
        return int(np.count_nonzero((at < margin) | (at >= end)))

    def spike_counts(self) -> IntArray:
        """Spikes per unit, (U,)."""
        return np.bincount(self.spike_units, minlength=self.unit_count).astype(np.int64)

    def trains(self) -> list[IntArray]:
        """Spike train of every unit in sorted samples, ascending."""
        return self._by_unit(self.spike_samples)

    def original_trains(self) -> list[IntArray]:
        """Spike train of every unit in original frames, ascending; as ``original_samples``."""
        return self._by_unit(self.original_samples)

    def amplitude_trains(self) -> list[FloatArray]:
        """Amplitude (µV) of every spike of every unit, in its train's order; empty if unknown."""
        if not self.spike_amplitudes_uv.size:
            return [np.zeros(0)] * self.unit_count
        return self._by_unit(self.spike_amplitudes_uv)

    def channels_around(self, channel: int, count: int) -> list[int]:
        """Return the ``count`` channels nearest to one of them, itself first."""
        apart = np.linalg.norm(
            self.channel_locations_um - self.channel_locations_um[channel], axis=1
        )
        apart[channel] = -1.0  # before another in the same place
        return [int(near) for near in np.argsort(apart, kind="stable")[:count]]

    def _by_unit(self, values: NDArray[_Number]) -> list[NDArray[_Number]]:
        order = np.argsort(self.spike_units, kind="stable")
        bounds = np.cumsum(self.spike_counts())[:-1]
        return [np.asarray(t) for t in np.split(values[order], bounds)][: self.unit_count]


def read_units(folder: Path, timeline: Mapping[str, Any] | None = None) -> UnitData:
    """Read an analyzer folder written by a sort, with the timeline document kept beside it.

    Raises InputCorruptError when the folder is not a readable analyzer, holds more than data, its
    parts do not fit each other or the timeline, or the timeline is none.
    """
    analyzer = open_analyzer(folder)
    with reading(folder):
        library = read_library_metrics(folder, len(analyzer.unit_ids))
        data = replace(_unit_data(analyzer), library=library)
        _require_fitting(data)
    try:
        where = Timeline.from_json(timeline) if timeline else None
    except ValueError as error:
        raise InputCorruptError(
            "The sort's timeline cannot be read; sort the run again.", reason=str(error)[:300]
        ) from error
    placed = replace(data, timeline=where)
    _ = placed.original_samples  # a spike that the timeline does not know is found here
    return placed


def _unit_data(analyzer: Any) -> UnitData:
    sampling_rate_hz = float(analyzer.sampling_frequency)
    unit_count, channel_count = len(analyzer.unit_ids), len(analyzer.channel_ids)
    samples, units, order = _spikes(analyzer)
    templates = analyzer.get_extension("templates")
    empty = np.zeros((unit_count, 0, channel_count))
    average = _template(templates, "average", empty)
    return UnitData(
        unit_ids=unit_names(analyzer.unit_ids),
        channel_ids=channel_names(analyzer.channel_ids),
        sampling_rate_hz=sampling_rate_hz,
        duration_s=float(analyzer.get_total_duration()),
        spike_samples=samples,
        spike_units=units,
        templates_uv=average,
        template_stds_uv=_template(templates, "std", empty),
        noise_uv=_column(analyzer, "noise_levels", channel_count),
        channel_locations_um=np.asarray(analyzer.get_channel_locations(), dtype=np.float64)[:, :2],
        unit_locations_um=_locations(analyzer, unit_count),
        spike_amplitudes_uv=_spike_amplitudes(analyzer, order),
        peak_index=int(templates.nbefore) if templates is not None else 0,
        spike_locations_um=_spike_locations(analyzer, order),
        aligned=read_aligned(Path(analyzer.folder), order),
    )


def _require_fitting(data: UnitData) -> None:
    """Raise ValueError where a part speaks of other units, channels or samples than the rest."""
    n_units, n_channels, n_samples = data.unit_count, len(data.channel_ids), _length(data)
    window = data.templates_uv.shape[1] if data.templates_uv.ndim == 3 else 0
    shapes: dict[str, tuple[tuple[int, ...], set[tuple[int, ...]]]] = {
        "templates": (data.templates_uv.shape, {(n_units, window, n_channels)}),
        "their spread": (
            data.template_stds_uv.shape,
            {(n_units, window, n_channels), (n_units, 0, n_channels)},
        ),
        "noise": (data.noise_uv.shape, {(n_channels,)}),
        "channel locations": (data.channel_locations_um.shape, {(n_channels, 2)}),
        "unit locations": (data.unit_locations_um.shape, {(n_units, 2)}),
    }
    for name, (found, right) in shapes.items():
        if found not in right:
            raise ValueError(
                f"{name}: {found} for {n_units} units on {n_channels} channels of {window} samples"
            )
    if not n_channels or not np.isfinite(data.channel_locations_um).all():
        raise ValueError(f"{n_channels} channels, not all of them in a known place")
    if not 0 <= data.peak_index <= window:
        raise ValueError(f"the peak is sample {data.peak_index} of {window}")
    for name, values, end in (
        ("spikes", data.spike_samples, n_samples),
        ("units of spikes", data.spike_units, n_units),
        ("aligned spikes", data.aligned_samples, n_samples),
        ("aligned channels", _aligned_channels(data), n_channels),
    ):
        if values.size and not 0 <= values.min() <= values.max() < end:
            raise ValueError(f"{name} from {values.min()} to {values.max()}, of {end}")


def _aligned_channels(data: UnitData) -> IntArray:
    """Channels of the alignment; raises ValueError where it is of other units."""
    if data.aligned is None:
        return np.zeros(0, dtype=np.int64)
    if len(data.aligned.channels) != data.unit_count:
        raise ValueError(f"{len(data.aligned.channels)} aligned units of {data.unit_count}")
    return data.aligned.channels


def _length(data: UnitData) -> int:
    """Samples of what was sorted; raises ValueError where rate or duration is none."""
    rate_hz, duration_s = data.sampling_rate_hz, data.duration_s
    if not (0 < rate_hz < math.inf and 0 <= duration_s < math.inf):
        raise ValueError(f"{duration_s} s at {rate_hz} Hz")
    return round(duration_s * rate_hz)


def _spikes(analyzer: Any) -> tuple[IntArray, IntArray, IntArray]:
    """All spikes in time order; segments follow one another on one time axis."""
    vector = analyzer.sorting.to_spike_vector()
    lengths = [analyzer.get_num_samples(i) for i in range(analyzer.get_num_segments())]
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    samples = vector["sample_index"].astype(np.int64) + offsets[vector["segment_index"]]
    order = np.argsort(samples, kind="stable")
    return samples[order], vector["unit_index"].astype(np.int64)[order], order


def _template(extension: Any, operator: str, missing: FloatArray) -> FloatArray:
    if extension is None or operator not in extension.data:
        return missing
    return np.asarray(extension.get_templates(operator=operator), dtype=np.float64)


def _column(analyzer: Any, name: str, length: int) -> FloatArray:
    extension = analyzer.get_extension(name)
    if extension is None:
        return np.full(length, np.nan)
    return np.asarray(extension.get_data(), dtype=np.float64)


def _locations(analyzer: Any, unit_count: int) -> FloatArray:
    extension = analyzer.get_extension("unit_locations")
    if extension is None:
        return np.full((unit_count, 2), np.nan)
    return np.asarray(extension.get_data(), dtype=np.float64).reshape(unit_count, -1)[:, :2]


def _spike_amplitudes(analyzer: Any, order: IntArray) -> FloatArray:
    extension = analyzer.get_extension("spike_amplitudes")
    if extension is None:
        return np.zeros(0)
    amplitudes = np.asarray(extension.get_data(), dtype=np.float64)
    return amplitudes[order] if amplitudes.shape == order.shape else np.zeros(0)


def _spike_locations(analyzer: Any, order: IntArray) -> FloatArray:
    extension = analyzer.get_extension("spike_locations")
    if extension is None:
        return np.zeros((0, 2))
    found = extension.get_data()
    places = np.stack([np.asarray(found[axis], dtype=np.float64) for axis in ("x", "y")], axis=1)
    return places[order] if len(places) == len(order) else np.zeros((0, 2))
