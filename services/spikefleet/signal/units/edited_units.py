"""Sorted units after merges and splits: what a merged or split unit's waveform and place are.

The units of the sort stay, so that nothing is lost; those that are made stand behind them with
spikes, templates and amplitudes of their own. Nothing is decided here and no sample is read: a
template is the mean of those it is made of, weighted by their spikes and moved as the spikes were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.units.aligned_spikes import AlignedSpikes
from spikefleet.signal.units.library_metrics import LibraryMetrics
from spikefleet.signal.units.unit_data import FloatArray, IntArray, UnitData
from spikefleet.signal.units.unit_edits import MadeTrain, UnitEdits

_Number = TypeVar("_Number", np.float64, np.int64)


@dataclass(frozen=True)
class EditedUnits:
    """``data``: the sort's units, then those made. ``replaced``: why a unit is one no longer.

    ``dropped`` names every unit that was made.
    """

    data: UnitData
    replaced: Mapping[str, str] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)  #: spikes found twice, by made unit

    @property
    def final(self) -> UnitData:
        """The units that there are after the edits."""
        if not self.replaced:
            return self.data
        kept = [i for i, unit in enumerate(self.data.unit_ids) if unit not in self.replaced]
        return chosen_units(self.data, kept)

    @property
    def gone(self) -> UnitData:
        """The units that were merged or split."""
        kept = [i for i, unit in enumerate(self.data.unit_ids) if unit in self.replaced]
        return chosen_units(self.data, kept)


def edited_units(data: UnitData, edits: UnitEdits) -> EditedUnits:
    """Return the units of a sort with those that the edits make of them.

    Raises ValueError where the edits are of another sort.
    """
    if not edits:
        return EditedUnits(data)
    n_samples = round(data.duration_s * data.sampling_rate_hz)
    trains = dict(zip(data.unit_ids, data.trains(), strict=True))
    made = edits.made_trains(trains, n_samples)
    shifts = {merge.new_id: merge.shifts for merge in edits.merges}
    templates = [_template(data, name, train, shifts) for name, train in made.items()]
    first = data.unit_count
    owners = [np.full(len(t.samples), first + i) for i, t in enumerate(made.values())]
    samples = np.concatenate([data.spike_samples, *(t.samples for t in made.values())])
    units = np.concatenate([data.spike_units, *owners]).astype(np.int64)
    order = np.lexsort((units, samples))
    amplitudes = data.spike_amplitudes_uv
    if amplitudes.size:
        amplitudes = np.concatenate([amplitudes, *_amplitudes(data, made)])[order]
    n_made = len(made)
    values = {
        name: np.concatenate([column, np.full(n_made, np.nan)])
        for name, column in data.library.values.items()
    }
    edited = replace(
        data,
        unit_ids=(*data.unit_ids, *made),
        spike_samples=samples[order],
        spike_units=units[order],
        spike_amplitudes_uv=amplitudes,
        templates_uv=np.concatenate([data.templates_uv, [mean for mean, _ in templates]]),
        template_stds_uv=np.concatenate([data.template_stds_uv, [std for _, std in templates]]),
        unit_locations_um=np.concatenate([data.unit_locations_um, _places(data, made)]),
        library=LibraryMetrics(values, data.library.not_measured),
        aligned=_aligned(data, made, order),
    )
    dropped = {name: train.n_dropped for name, train in made.items()}
    return EditedUnits(edited, edits.replaced, dropped)


def edits_of(document: Mapping[str, Any]) -> UnitEdits:
    """Return the merges and splits of a curation; ``document`` is curation.json.

    Raises InputCorruptError where they are none.
    """
    given = document.get("edits")
    try:
        return UnitEdits.from_json(given) if given else UnitEdits()
    except ValueError as error:
        raise _mismatch(error) from error


def units_of_curation(data: UnitData, document: Mapping[str, Any]) -> UnitData:
    """Return the sort's units with those that its curation made; ``document`` is curation.json.

    Raises InputCorruptError where the two do not belong together.
    """
    edits = edits_of(document)
    try:
        return edited_units(data, edits).data
    except ValueError as error:
        raise _mismatch(error) from error


def _mismatch(error: ValueError) -> InputCorruptError:
    return InputCorruptError(
        f"The curation's merges and splits are not of this sort ({error}). Curate the run again.",
        reason="edits_mismatch",
    )


def chosen_units(data: UnitData, indices: Sequence[int]) -> UnitData:
    """Return some of the units, in the order given, with their spikes."""
    chosen = np.asarray(indices, dtype=np.int64)
    place = np.full(data.unit_count, -1, dtype=np.int64)
    place[chosen] = np.arange(len(chosen))
    inside = place[data.spike_units] >= 0
    amplitudes = data.spike_amplitudes_uv
    values = {name: column[chosen] for name, column in data.library.values.items()}
    return replace(
        data,
        unit_ids=tuple(data.unit_ids[i] for i in indices),
        spike_samples=data.spike_samples[inside],
        spike_units=place[data.spike_units[inside]],
        spike_amplitudes_uv=amplitudes[inside] if amplitudes.size else amplitudes,
        templates_uv=data.templates_uv[chosen],
        template_stds_uv=data.template_stds_uv[chosen],
        unit_locations_um=data.unit_locations_um[chosen],
        library=LibraryMetrics(values, data.library.not_measured),
        aligned=None if data.aligned is None else _chosen_aligned(data.aligned, inside, chosen),
    )


def _chosen_aligned(
    aligned: AlignedSpikes, inside: NDArray[np.bool_], chosen: IntArray
) -> AlignedSpikes:
    return AlignedSpikes(
        aligned.shifts[inside],
        aligned.average_uv[chosen],
        aligned.std_uv[chosen],
        aligned.channels[chosen],
    )


def _aligned(
    data: UnitData, made: Mapping[str, MadeTrain], order: IntArray
) -> AlignedSpikes | None:
    """The peaks of all spikes; a unit that was made has no aligned waveform of its own."""
    if data.aligned is None:
        return None
    peaks = data.spike_samples + data.aligned.shifts
    by_unit = np.argsort(data.spike_units, kind="stable")
    bounds = np.cumsum(data.spike_counts())[:-1]
    of_units = dict(zip(data.unit_ids, np.split(peaks[by_unit], bounds), strict=False))
    shifts = [
        _gathered([of_units[unit] for unit in train.unit_ids], train) - train.samples
        for train in made.values()
    ]
    nothing = np.full((len(made), data.aligned.average_uv.shape[1]), np.nan)
    first = [data.unit_ids.index(train.unit_ids[0]) for train in made.values()]
    return AlignedSpikes(
        np.concatenate([data.aligned.shifts, *shifts])[order],
        np.concatenate([data.aligned.average_uv, nothing]),
        np.concatenate([data.aligned.std_uv, nothing]),
        np.concatenate([data.aligned.channels, data.aligned.channels[first]]),
    )


def _weights(data: UnitData, train: MadeTrain) -> tuple[list[int], FloatArray]:
    """The units that a made one is of, and the share of its spikes that each had."""
    indices = [data.unit_ids.index(unit) for unit in train.unit_ids]
    counts = data.spike_counts()[indices].astype(np.float64)
    total = counts.sum()
    return indices, counts / total if total else np.full(len(counts), 1 / len(counts))


def _template(
    data: UnitData, name: str, train: MadeTrain, shifts: Mapping[str, tuple[int, ...]]
) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation, (T, C) each, of the spikes of all; the edges are held."""
    indices, weights = _weights(data, train)
    lags = shifts.get(name, (0,) * len(indices))
    means = [_moved(data.templates_uv[i], lag) for i, lag in zip(indices, lags, strict=True)]
    stds = [_moved(data.template_stds_uv[i], lag) for i, lag in zip(indices, lags, strict=True)]
    weight = weights[:, np.newaxis, np.newaxis]
    mean = (weight * np.stack(means)).sum(axis=0)
    if not stds[0].shape[0]:
        return mean, stds[0]
    apart = np.stack(means) - mean
    return mean, np.sqrt((weight * (np.stack(stds) ** 2 + apart**2)).sum(axis=0))


def _moved(template: FloatArray, shift: int) -> FloatArray:
    """A template (T, C) around spikes that were moved by ``shift`` samples."""
    n_samples = template.shape[0]
    if not shift or not n_samples:
        return template
    return template[np.clip(np.arange(n_samples) + shift, 0, n_samples - 1)]


def _places(data: UnitData, made: Mapping[str, MadeTrain]) -> FloatArray:
    """Where each made unit is, (M, 2): the mean of those it is of, by their spikes."""
    found = np.full((len(made), 2), np.nan)
    for row, train in enumerate(made.values()):
        indices, weights = _weights(data, train)
        found[row] = weights @ data.unit_locations_um[indices]
    return found


def _amplitudes(data: UnitData, made: Mapping[str, MadeTrain]) -> list[FloatArray]:
    """The amplitudes of every made unit's spikes, in its train's order."""
    of_units = dict(zip(data.unit_ids, data.amplitude_trains(), strict=True))
    return [
        _gathered([of_units[unit] for unit in train.unit_ids], train) for train in made.values()
    ]


def _gathered(values: Sequence[NDArray[_Number]], train: MadeTrain) -> NDArray[_Number]:
    """The values of a made unit's spikes, of those of the units that it is made of."""
    starts = np.cumsum([0, *(len(each) for each in values)])[:-1].astype(np.int64)
    found: NDArray[_Number] = np.concatenate(values)[starts[train.sources] + train.spikes]
    return found
