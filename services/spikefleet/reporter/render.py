"""Renders one report: builds the record from what the stages left, draws, writes.

Runs in a confined process, since the analyzer was written by a sorter that read a stranger's
recording; it writes into its own scratch and the service publishes what it finds there. What cannot
be read becomes a note in the report rather than the end of it: a run that failed needs its report
more than one that succeeded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spikefleet.core.config.products import FiguresConfig
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.core.files import write_json
from spikefleet.core.rooms.reporting import ReportTask
from spikefleet.core.visible_text import visible_line
from spikefleet.reporter.figures import Drawing, draw_all, draw_recording
from spikefleet.reporter.markdown import format_markdown
from spikefleet.reporter.page import format_page, format_unit_pages
from spikefleet.reporter.pictures.attempts import try_to_draw
from spikefleet.reporter.pictures.files.write import write_figures
from spikefleet.reporter.pictures.waveforms import template_of
from spikefleet.reporter.record import Material, build_record
from spikefleet.reporter.sections import ReportRecord
from spikefleet.reporter.sources import HTML_FILE, JSON_FILE, MARKDOWN_FILE, ReportSources
from spikefleet.reporter.unit_cards import UnitCard, draw_units
from spikefleet.reporter.unit_pages import UNITS_FOLDER, draw_unit_pages
from spikefleet.signal.units.edited_units import units_of_curation
from spikefleet.signal.units.strip import Strip
from spikefleet.signal.units.unit_data import FloatArray, UnitData, read_units


def render(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Where a confined process enters: ``task``, ``sources`` and the folder ``output``."""
    task, sources = ReportTask.from_json(arguments["task"]), ReportSources(**arguments["sources"])
    write_report(sources, task, Path(arguments["output"]))
    return {}


def write_report(sources: ReportSources, task: ReportTask, folder: Path) -> None:
    """Write the report's three files into ``folder``."""
    data, notes = _read_units(sources)
    material = Material(
        curation=sources.curation,
        sort=sources.sort,
        recording_s=data.original_s if data else None,
        timeline=data.timeline if data else None,
        channel_count=len(data.channel_ids) if data else None,
        notes=notes,
    )
    record = build_record(task, material, SortingConfig().to_document())
    drawings, waveforms, cards = _draw(data, record, sources.strip)
    record["files"] = _write_asked(folder, data, record, cards)
    write_json(folder / JSON_FILE, record)
    (folder / MARKDOWN_FILE).write_text(format_markdown(record), encoding="utf-8")
    page = format_page(record, drawings, waveforms, cards)
    (folder / HTML_FILE).write_text(page, encoding="utf-8")


def _write_asked(
    folder: Path, data: UnitData | None, record: ReportRecord, cards: Sequence[UnitCard]
) -> list[str]:
    """Write the pictures and pages that the run's settings ask for; return their names.

    What could not be drawn, and why, is added to the record's notes.
    """
    notes = record["notes"]
    asked = record["config"].get("figures") or {}
    settings = try_to_draw(
        "figures as the settings ask", notes, lambda: FiguresConfig.model_validate(asked)
    )
    if data is None or settings is None or not cards:
        return []
    files: list[str] = []
    if settings.create_figures:
        files += write_figures(folder, data, record, settings, notes)
    if settings.create_unit_figures:
        pages = try_to_draw(
            "pages of units",
            notes,
            lambda: format_unit_pages(record, draw_unit_pages(data, record["units"], cards)),
        )
        (folder / UNITS_FOLDER).mkdir()
        for name, text in (pages or {}).items():
            (folder / UNITS_FOLDER / name).write_text(text, encoding="utf-8")
            files.append(f"{UNITS_FOLDER}/{name}")
    return files


def _read_units(sources: ReportSources) -> tuple[UnitData | None, tuple[str, ...]]:
    if not sources.analyzer:
        return None, (f"No figures: {sources.missing}",) if sources.missing else ()
    try:
        data = read_units(Path(sources.analyzer), sources.timeline)
        data = units_of_curation(data, sources.curation)
        # As the record has them: nothing that a page could not show.
        return replace(data, unit_ids=tuple(map(visible_line, data.unit_ids))), ()
    except InputCorruptError as error:
        why = f" ({error.reason})" if error.reason else ""
        return None, (f"No figures: {visible_line(f'{error}{why}')}",)


def _draw(
    data: UnitData | None, record: ReportRecord, strip: Mapping[str, Any]
) -> tuple[list[Drawing], dict[str, FloatArray], list[UnitCard]]:
    """Draw the figures and the units, if the analyzer and the curation speak of the same units.

    What could not be drawn, and why, is added to the record's notes.
    """
    units, notes = record["units"], record["notes"]
    if data is None or not units:
        return [], {}, []
    if [unit["unit_id"] for unit in units] != list(data.unit_ids):
        notes.append("No figures: the sort and its curation speak of different units.")
        return [], {}, []
    waveforms = try_to_draw("waveforms of the table", notes, lambda: _waveforms(data, units))
    drawings = draw_all(data, units, record["curation"], notes)
    shown = _draw_strip(strip, data, units, notes) if strip else None
    drawings += [shown] if shown is not None else []
    cards = try_to_draw("units one by one", notes, lambda: draw_units(data, units))
    return drawings, waveforms or {}, cards or []


def _draw_strip(
    document: Mapping[str, Any],
    data: UnitData,
    units: Sequence[Mapping[str, Any]],
    notes: list[str],
) -> Drawing | None:
    strip = try_to_draw("strip of the recording", notes, lambda: Strip.from_json(document))
    return None if strip is None else draw_recording(strip, data, units, notes)


def _waveforms(data: UnitData, units: Sequence[Mapping[str, Any]]) -> dict[str, FloatArray]:
    return {unit["unit_id"]: template_of(data, index, unit)[0] for index, unit in enumerate(units)}
