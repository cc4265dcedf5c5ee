"""Renders one report: reads what the stages left, builds the record, draws, writes, publishes.

Runs in a worker process. What cannot be read becomes a note in the report rather than the end of
it: a run that failed needs its report more than one that succeeded.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikefleet.core.attempts import write_json
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.core.units.unit_data import FloatArray, UnitData, read_units
from spikefleet.infra.stores.artifacts import (
    ArtifactMissingError,
    ArtifactStore,
    publish_folder,
)
from spikefleet.infra.stores.artifacts_open import open_artifacts
from spikefleet.infra.stores.checkout import checked_out
from spikefleet.infra.stores.sort_timeline import read_timeline
from spikefleet.reporter.figures import Drawing, draw_all
from spikefleet.reporter.markdown import format_markdown
from spikefleet.reporter.page import format_page
from spikefleet.reporter.pictures.waveforms import template_of
from spikefleet.reporter.record import Material, build_record
from spikefleet.reporter.task import (
    HTML_FILE,
    JSON_FILE,
    MARKDOWN_FILE,
    RenderAnswer,
    RenderTask,
)


def render_report(artifacts_url: str, task: RenderTask) -> RenderAnswer:
    """Write recording_report.json, report.md and report.html under ``task.output_prefix``."""
    store = open_artifacts(artifacts_url)
    with tempfile.TemporaryDirectory(prefix="spikefleet-report-") as scratch:
        folder = Path(scratch)
        write_report(store, task, folder)
        publish_folder(store, task.output_prefix, folder)
    return RenderAnswer(task.output_prefix, f"{task.output_prefix}/{HTML_FILE}")


def write_report(store: ArtifactStore, task: RenderTask, folder: Path) -> None:
    """Write the report's three files into ``folder``."""
    data, notes = _read_units(store, task.sort_prefix)
    material = Material(
        curation=_read_json(store, task.curation_prefix, "curation.json"),
        sort=_read_json(store, task.sort_prefix, "result.json"),
        recording_s=data.original_s if data else None,
        timeline=data.timeline if data else None,
        channel_count=len(data.channel_ids) if data else None,
        notes=notes,
    )
    record = build_record(task, material, SortingConfig().to_document())
    drawings, waveforms = _draw(data, record)
    write_json(folder / JSON_FILE, record)
    (folder / MARKDOWN_FILE).write_text(format_markdown(record), encoding="utf-8")
    page = format_page(record, drawings, waveforms)
    (folder / HTML_FILE).write_text(page, encoding="utf-8")


def _read_units(store: ArtifactStore, sort_prefix: str) -> tuple[UnitData | None, tuple[str, ...]]:
    if not sort_prefix:
        return None, ()
    try:
        timeline = read_timeline(store, sort_prefix)
        with checked_out(store, f"{sort_prefix}/analyzer") as folder:
            return read_units(folder, timeline), ()
    except (ArtifactMissingError, InputCorruptError) as error:
        return None, (f"No figures: {error}",)


def _read_json(store: ArtifactStore, prefix: str, name: str) -> Mapping[str, Any]:
    if not prefix:
        return {}
    try:
        document = json.loads(store.get_bytes(f"{prefix}/{name}"))
    except (ArtifactMissingError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _draw(
    data: UnitData | None, record: Mapping[str, Any]
) -> tuple[list[Drawing], dict[str, FloatArray]]:
    """Draw the figures, if the analyzer and the curation speak of the same units."""
    units = record["units"]
    if data is None or [str(u["unit_id"]) for u in units] != list(data.unit_ids):
        return [], {}
    waveforms = {
        str(unit["unit_id"]): template_of(data, index, unit)[0] for index, unit in enumerate(units)
    }
    return draw_all(data, units, record["curation"]), waveforms
