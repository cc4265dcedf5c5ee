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
from spikefleet.core.failures.errors import Failure, SpikeSortingClassifiedError
from spikefleet.core.files import write_json
from spikefleet.core.rooms.curation import CurationAnswer
from spikefleet.infra.stores.bytes.sort_timeline import TIMELINE_FILE
from spikefleet.signal.units.curate import CurationHistory, curate_units
from spikefleet.signal.units.epochs import (
    choose_epoch,
    epoch_records,
    epochs_of,
    measure_epoch,
)
from spikefleet.signal.units.export import (
    format_epochs_csv,
    format_units_csv,
    write_curated_npz,
    write_files,
)
from spikefleet.signal.units.labels import labelled
from spikefleet.signal.units.quality import measure_units
from spikefleet.signal.units.unit_data import read_units
from spikefleet.signal.units.unit_records import unit_records

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
        )
    except SpikeSortingClassifiedError as error:
        failure = Failure.from_error(error, stage="curate", rule_id="curation")
        return CurationAnswer(failure=failure).to_json()
    return CurationAnswer(len(history.initial), len(history.final)).to_json()


def curate_into(
    folder: Path,
    analyzer: Path,
    timeline: Mapping[str, Any],
    curation: CurationConfig,
    waveform: WaveformConfig,
) -> CurationHistory:
    """Curate the sort in the folder ``analyzer`` and write the result's files into ``folder``.

    Raises InputCorruptError when the analyzer or the timeline cannot be read, and
    InvalidConfigurationError where the epoch to judge by is none of the sort.
    """
    data = read_units(analyzer, timeline)
    units = measure_units(data, waveform, curation)
    epochs = epochs_of(data)
    judged = units
    if curation.curation_epoch is not None:
        chosen = choose_epoch(epochs, curation.curation_epoch)
        judged = measure_epoch(chosen, data, waveform, curation)
    history = curate_units(judged, curation)
    failed_on = history.failed_on()
    told, labels = labelled(unit_records(data, units, curation), curation.labels)
    by_epoch = epoch_records(epochs, data, waveform, curation)
    (folder / UNITS_FILE).write_text(format_units_csv(told, failed_on), encoding="utf-8")
    if by_epoch:
        (folder / EPOCHS_FILE).write_text(format_epochs_csv(by_epoch), encoding="utf-8")
    write_curated_npz(folder / CURATED_FILE, data, units, history.final)
    files = write_files(folder / EXPORTS_FOLDER, data, units, failed_on)
    if timeline:
        write_json(folder / TIMELINE_FILE, timeline)
    document = history.to_json() | {
        "units": told,
        "labels": labels,
        "epochs": [epoch.to_json() for epoch in epochs],
        "units_by_epoch": by_epoch,
        "not_measured": dict(data.library.not_measured),
        "refractory_period_ms": curation.refractory_period_ms,
        "edge_spikes": data.edge_spike_count,
        "exports": [f"{EXPORTS_FOLDER}/{name}" for name in files],
    }
    write_json(folder / CURATION_FILE, document)
    return history
