"""The verdict on the units of a curation: measured after merges and splits, then judged.

A unit that was merged or split is told as it was, with what became of it as its reason; the
thresholds judge the units that there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.signal.units.by_hand import HandCuration, HandVerdict
from spikefleet.signal.units.curate import CurationHistory, curate_units
from spikefleet.signal.units.edited_units import EditedUnits
from spikefleet.signal.units.epochs import RecordingEpoch, choose_epoch, epochs_of, measure_epoch
from spikefleet.signal.units.quality import UnitQuality, measure_units
from spikefleet.signal.units.unit_data import UnitData
from spikefleet.signal.units.unit_records import unit_records

BY_HAND, NOT_THERE = "by hand", "not among the units curated by hand"


@dataclass(frozen=True)
class Judged:
    """``units`` and ``rows`` of every unit, in the order of the edited data; the verdict."""

    units: tuple[UnitQuality, ...]
    rows: list[dict[str, Any]]
    history: CurationHistory
    epochs: Sequence[RecordingEpoch]


@dataclass(frozen=True)
class JudgedBy:
    """What a curation is told: thresholds, windows, and what a person decided, if anybody did."""

    curation: CurationConfig
    waveform: WaveformConfig
    hand: HandCuration | None = None


def judge(edited: EditedUnits, settings: JudgedBy) -> Judged:
    """Measure all units and judge those that were not merged or split.

    By the thresholds, or as a person decided; of a unit that the person did not have it is said.

    Raises InvalidConfigurationError where the epoch to judge by is none of the sort,
    EmptyWaveformMetricsError as ``curate_units``.
    """
    final, curation, waveform = edited.final, settings.curation, settings.waveform
    units = measure_units(final, waveform, curation)
    epochs = epochs_of(final)
    judged = units
    if curation.curation_epoch is not None:
        chosen = choose_epoch(epochs, curation.curation_epoch)
        judged = measure_epoch(chosen, final, waveform, curation)
    hand = settings.hand
    history = curate_units(judged, curation) if hand is None else _decided(final.unit_ids, hand)
    rows = unit_records(final, units, curation)
    if edited.replaced:
        units, rows = _with_replaced(edited, (units, rows), settings)
        history = _with_reasons(history, edited)
    return Judged(units, rows, history, epochs)


def _decided(unit_ids: Sequence[str], hand: HandCuration) -> CurationHistory:
    """The verdict of a person, as a history without thresholds."""
    nobody = HandVerdict(passed=False, reason=NOT_THERE)
    verdicts = {unit: hand.verdicts.get(unit, nobody) for unit in unit_ids}
    failed: dict[str, tuple[str, ...]] = {}
    for unit, verdict in verdicts.items():
        if not verdict.passed:
            reason = verdict.reason or BY_HAND
            failed[reason] = (*failed.get(reason, ()), unit)
    kept = tuple(unit for unit, verdict in verdicts.items() if verdict.passed)
    return CurationHistory(parameters={}, initial=tuple(unit_ids), failed=failed, final=kept)


def labelled_by_hand(
    rows: Sequence[Mapping[str, Any]], hand: HandCuration | None
) -> list[dict[str, Any]]:
    """Return the rows with the labels that a person gave in place of the preset's."""
    if hand is None:
        return [dict(row) for row in rows]
    told = []
    for row in rows:
        verdict = hand.verdicts.get(row["unit_id"])
        if verdict is None or verdict.label == (row.get("label") or ""):
            told.append(dict(row))
        else:
            told.append({**row, "label": verdict.label, "label_why": BY_HAND})
    return told


def _with_replaced(
    edited: EditedUnits,
    found: tuple[Sequence[UnitQuality], Sequence[Mapping[str, Any]]],
    settings: JudgedBy,
) -> tuple[tuple[UnitQuality, ...], list[dict[str, Any]]]:
    """All units in the order of the edited data; those replaced as they were in the sort."""
    gone: UnitData = edited.gone
    before = measure_units(gone, settings.waveform, settings.curation)
    told = unit_records(gone, before, settings.curation)
    rows = {row["unit_id"]: dict(row) for row in (*found[1], *told)}
    units = {unit.unit_id: unit for unit in (*found[0], *before)}
    ids = edited.data.unit_ids
    return tuple(units[unit] for unit in ids), [rows[unit] for unit in ids]


def _with_reasons(history: CurationHistory, edited: EditedUnits) -> CurationHistory:
    """The history with the units that were merged or split, rejected by what became of them."""
    reasons: dict[str, tuple[str, ...]] = {}
    for unit, reason in edited.replaced.items():
        reasons[reason] = (*reasons.get(reason, ()), unit)
    return replace(
        history,
        initial=tuple(unit for unit in edited.data.unit_ids if unit not in edited.dropped),
        failed={**reasons, **history.failed},
    )
