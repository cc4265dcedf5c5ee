"""Curates one sort: metrics, thresholds, the curated units' files.

Runs in a confined process: it reads the sort's analyzer only, never raw data, and writes into its
own scratch; the service publishes what it finds there. No unit passing is a success with nothing
curated; whether there was anything to sort was decided by the sort.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.core.failures.errors import (
    Failure,
    InputCorruptError,
    SpikeSortingClassifiedError,
)
from spikefleet.core.files import write_json
from spikefleet.core.rooms.curation import CurationAnswer
from spikefleet.curation.judging import JudgedBy, judge, labelled_by_hand
from spikefleet.curation.merging import choose_merges
from spikefleet.infra.stores.bytes.sort_timeline import TIMELINE_FILE
from spikefleet.signal.units.by_hand import HandCuration
from spikefleet.signal.units.curate import CurationHistory
from spikefleet.signal.units.edited_units import EditedUnits, edited_units
from spikefleet.signal.units.epochs import epoch_records
from spikefleet.signal.units.export import (
    format_epochs_csv,
    format_units_csv,
    write_curated_npz,
    write_files,
)
from spikefleet.signal.units.labels import labelled
from spikefleet.signal.units.unit_data import UnitData, read_units
from spikefleet.signal.units.unit_edits import UnitEdits

CURATION_FILE = "curation.json"
UNITS_FILE = "units.csv"
EPOCHS_FILE = "epochs.csv"
CURATED_FILE = "curated.npz"
EXPORTS_FOLDER = "exports"


def curate(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Where a confined process enters: ``analyzer``, ``timeline``, ``output`` and the groups."""
    try:
        history = curate_into(
            Path(arguments["output"]),
            Path(arguments["analyzer"]),
            arguments["timeline"],
            CurationConfig.model_validate(arguments["curation"]),
            WaveformConfig.model_validate(arguments["waveform"]),
            _read_hand(arguments.get("by_hand")),
        )
    except SpikeSortingClassifiedError as error:
        failure = Failure.from_error(error, stage="curate", rule_id="curation")
        return CurationAnswer(failure=failure).to_json()
    return CurationAnswer(len(history.initial), len(history.final)).to_json()


def _read_hand(given: Any) -> HandCuration | None:
    """Read what a person decided, as it was handed in. Raises InputCorruptError."""
    try:
        return HandCuration.from_json(given) if given else None
    except ValueError as error:
        raise InputCorruptError(
            f"The curation by hand cannot be read ({error}).", reason="hand_curation"
        ) from error


def curate_into(
    folder: Path,
    analyzer: Path,
    timeline: Mapping[str, Any],
    curation: CurationConfig,
    waveform: WaveformConfig,
    hand: HandCuration | None = None,
) -> CurationHistory:
    """Curate the sort in the folder ``analyzer`` and write the result's files into ``folder``.

    By the thresholds, or as a person decided (``hand``).

    Raises InputCorruptError when the analyzer or the timeline cannot be read, and
    InvalidConfigurationError where the epoch to judge by is none of the sort, or the wished merges
    cannot be found in it.
    """
    sorted_units = read_units(analyzer, timeline)
    if hand is None:
        edits, suggestions = choose_merges(analyzer, sorted_units, curation)
    else:
        edits, suggestions = hand.edits, []
    edited = _edited(sorted_units, edits, hand)
    judged = judge(edited, JudgedBy(curation, waveform, hand))
    history, failed_on = judged.history, judged.history.failed_on()
    told, labels = labelled(judged.rows, curation.labels)
    told = labelled_by_hand(told, hand)
    by_epoch = epoch_records(judged.epochs, edited.final, waveform, curation)
    (folder / UNITS_FILE).write_text(format_units_csv(told, failed_on), encoding="utf-8")
    if by_epoch:
        (folder / EPOCHS_FILE).write_text(format_epochs_csv(by_epoch), encoding="utf-8")
    write_curated_npz(folder / CURATED_FILE, edited.data, judged.units, history.final)
    files = write_files(folder / EXPORTS_FOLDER, edited.data, judged.units, failed_on)
    if timeline:
        write_json(folder / TIMELINE_FILE, timeline)
    document = history.to_json() | {
        "units": told,
        "labels": labels,
        "edits": edits.to_json() if edits else {},
        "merge_suggestions": suggestions,
        "by_hand": {} if hand is None else {"tool": hand.tool, "support": dict(hand.support)},
        "epochs": [epoch.to_json() for epoch in judged.epochs],
        "units_by_epoch": by_epoch,
        "not_measured": dict(sorted_units.library.not_measured),
        "refractory_period_ms": curation.refractory_period_ms,
        "edge_spikes": sorted_units.edge_spike_count,
        "exports": [f"{EXPORTS_FOLDER}/{name}" for name in files],
    }
    write_json(folder / CURATION_FILE, document)
    return history


def _edited(data: UnitData, edits: UnitEdits, hand: HandCuration | None) -> EditedUnits:
    """Apply the edits. Raises InputCorruptError where a person made them of another sort."""
    try:
        edited = edited_units(data, edits)
        if hand is not None:
            hand.require_of(dict(zip(data.unit_ids, data.trains(), strict=True)))
            hand.require_units(edited.data.unit_ids)
        return edited
    except ValueError as error:
        raise InputCorruptError(
            f"The curation by hand does not fit this sort: {error}.", reason="hand_curation"
        ) from error
