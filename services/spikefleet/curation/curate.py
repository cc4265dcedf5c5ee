"""Curates one sort: metrics, thresholds, the curated units' files.

Runs in a worker process and talks in plain data. It reads the sort's analyzer only, never raw
data, and leaves a complete prefix or a classified failure. No unit passing is a success with
nothing curated; whether there was anything to sort was decided by the sort.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from spikefleet.core.attempts import write_json
from spikefleet.core.failures.errors import (
    Failure,
    IncompleteOutcome,
    SpikeSortingClassifiedError,
)
from spikefleet.core.units.curate import CurationHistory, CurationThresholds, curate_units
from spikefleet.core.units.export import format_units_csv, write_curated_npz, write_files
from spikefleet.core.units.quality import QualitySettings, measure_units
from spikefleet.core.units.unit_data import read_units
from spikefleet.curation.task import CurationAnswer, CurationTask
from spikefleet.infra.stores.artifacts import (
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactStore,
    publish_folder,
    verify_prefix,
)
from spikefleet.infra.stores.artifacts_open import open_artifacts
from spikefleet.infra.stores.checkout import checked_out
from spikefleet.infra.stores.sort_timeline import TIMELINE_FILE, read_timeline

CURATION_FILE = "curation.json"
UNITS_FILE = "units.csv"
CURATED_FILE = "curated.npz"
EXPORTS_FOLDER = "exports"


def curate_sort(artifacts_url: str, task: CurationTask) -> CurationAnswer:
    """Curate one sort and publish the result under ``task.output_prefix``."""
    try:
        history = _curate(open_artifacts(artifacts_url), task)
    except SpikeSortingClassifiedError as error:
        failure = Failure.from_error(error, stage="curate", rule_id="curation")
        return CurationAnswer(failure=failure)
    return CurationAnswer(len(history.initial), len(history.final), task.output_prefix)


def _curate(store: ArtifactStore, task: CurationTask) -> CurationHistory:
    thresholds = CurationThresholds.from_config(task.config.get("curation") or {})
    settings = QualitySettings.from_config(task.config.get("waveform") or {})
    _require_sort(store, task.sort_prefix)
    timeline = read_timeline(store, task.sort_prefix)
    with checked_out(store, f"{task.sort_prefix}/analyzer") as analyzer:
        data = read_units(analyzer, timeline)
    units = measure_units(data, settings)
    history = curate_units(units, thresholds)
    with tempfile.TemporaryDirectory(prefix="spikefleet-curation-") as scratch:
        folder = Path(scratch)
        (folder / UNITS_FILE).write_text(
            format_units_csv(units, history.failed_on()), encoding="utf-8"
        )
        write_curated_npz(folder / CURATED_FILE, data, units, history.final)
        files = write_files(folder / EXPORTS_FOLDER, data, units, history.failed_on())
        if timeline:
            write_json(folder / TIMELINE_FILE, timeline)
        document = history.to_json() | {
            "units": [unit.to_json() for unit in units],
            "exports": [f"{EXPORTS_FOLDER}/{name}" for name in files],
        }
        write_json(folder / CURATION_FILE, document)
        publish_folder(store, task.output_prefix, folder)
    return history


def _require_sort(store: ArtifactStore, prefix: str) -> None:
    """Raise IncompleteOutcome when the sort's results are not all there."""
    try:
        verify_prefix(store, prefix)
    except (ArtifactMissingError, ArtifactDamagedError) as error:
        raise IncompleteOutcome(
            "The sort's results are not complete, so there is nothing to curate.",
            missing=prefix,
            reason=str(error),
        ) from error
