"""The HTML page of a run: one file that needs nothing else, online or off.

Turns the record into what the template shows: cards, tables, small waveforms. The template asks
for no script, font, image or style from anywhere, and says so in its content policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, TemplateError

from spikefleet.core.text import MISSING, format_duration, format_size
from spikefleet.reporter.before_sort import tell_canary
from spikefleet.reporter.curated import refractory_ms, tell_edits
from spikefleet.reporter.figures import Drawing
from spikefleet.reporter.sections import ReportRecord
from spikefleet.reporter.times import tell_times
from spikefleet.reporter.unit_cards import UnitCard
from spikefleet.reporter.unit_pages import UNITS_FOLDER, UnitPage, page_names
from spikefleet.reporter.unit_rows import table_columns, unit_rows
from spikefleet.reporter.wording import (
    describe_event,
    format_fact,
    format_name,
    format_number,
    format_value,
    last_text_lines,
    pick_peaks,
    state_word,
    text_lines,
)
from spikefleet.signal.units.unit_data import FloatArray

# Where the numbers behind each figure are, for who wants to draw them again.
_DATA = {
    "raster": "spike_trains of curated.npz; of all units the analyzer",
    "probe": "x_um, y_um and amplitude_uv of units.csv; locations of curated.npz",
    "metrics": "the columns of units.csv; thresholds in curation.json",
    "templates": "templates of curated.npz; with their spread in the analyzer",
    "curation": "curated and failed of curation.json",
    "scatter": "spike_count and std_norm of units.csv",
    "noise": "noise_levels in the analyzer",
    "drift": "spike_locations and spike_amplitudes in the analyzer",
    "strip": "strip.json of the sort",
}
_DOCUMENTS = ("failure", "curation", "preflight", "recording", "stream", "timeline")


def format_page(
    record: ReportRecord,
    drawings: Sequence[Drawing],
    waveforms: Mapping[str, FloatArray],
    units: Sequence[UnitCard] = (),
) -> str:
    """Return the page. ``waveforms`` maps a unit id to its mean waveform (T,) in µV.

    ``units`` are shown one by one, in their order.

    Raises ValueError when the record has another shape than ``record.build_record`` gives it.
    """
    shown = {
        "record": record,
        "run": record["run"],
        "verdict": record["verdict"],
        "cards": make_cards(record),
        "figures": {drawing.name: drawing for drawing in drawings},
        "edits": tell_edits(record["curation"]),
        "columns": table_columns(record["units"]),
        "refractory": refractory_ms(record["curation"]),
        "rows": unit_rows(record["units"], waveforms, {card.unit_id for card in units}),
        "unit_cards": units,
        "shown_units": {unit.unit_id for unit in units},
        "unit_files": _unit_files(record, units),
        "other_files": [name for name in record["files"] if not name.startswith(UNITS_FOLDER)],
        "data_of": _DATA,
        "stages": _stages(record),
        "findings": record.get("findings") or [],
        "trial": tell_canary(record.get("canary") or {}),
        "peaks": pick_peaks(record.get("peaks") or {}),
        "place": record.get("rec_path") or "",
        "times": tell_times(record.get("timeline") or {}),
        **{name: record.get(name) or {} for name in _DOCUMENTS},
    }
    try:
        return str(_environment().get_template("report.html.j2").render(shown))
    except TemplateError as error:
        raise ValueError(f"the page cannot be made from this record: {error}") from error


def format_unit_pages(record: ReportRecord, pages: Sequence[UnitPage]) -> dict[str, str]:
    """Return the text of each unit's page by its file name.

    Raises ValueError as ``format_page``.
    """
    template = _environment().get_template("unit.html.j2")
    files = {page.card.unit_id: page.file for page in pages}
    shown = {
        "record": record,
        "run": record["run"],
        "files": files,
        "refractory": refractory_ms(record["curation"]),
    }
    texts = {}
    for before, page, after in zip([None, *pages], pages, [*pages[1:], None], strict=False):
        try:
            texts[page.file] = str(template.render(shown, page=page, before=before, after=after))
        except TemplateError as error:
            raise ValueError(f"a unit's page cannot be made: {error}") from error
    return texts


def _unit_files(record: ReportRecord, units: Sequence[UnitCard]) -> dict[str, str]:
    """Map each unit with a page of its own to it, relative to the report."""
    names = page_names([unit.unit_id for unit in units])
    files = {unit: f"{UNITS_FOLDER}/{name}" for unit, name in names.items()}
    written = set(record["files"])
    return {unit: file for unit, file in files.items() if file in written}


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": format_number,
        "duration": format_duration,
        "size": format_size,
        "value": format_value,
        "fact": format_fact,
        "name": format_name,
        "text_lines": text_lines,
        "text_end": last_text_lines,
        "event": describe_event,
        "moment": _moment,
    }
    return environment


def make_cards(record: ReportRecord) -> list[tuple[str, str, str]]:
    """Return the key numbers as (value, label, small print); unknown ones are left out."""
    stream, quality = record.get("stream") or {}, record.get("quality") or {}
    curation, timings = record.get("curation") or {}, record.get("timings_s") or {}
    cards: list[tuple[str, str, str]] = []
    if curation:
        cards.append((str(curation["n_curated"]), "curated", f"of {curation['n_sorted']} units"))
        spikes = sum(int(u.get("spike_count") or 0) for u in record["units"] if u["passed"])
        cards.append((format_number(spikes), "spikes", "in curated units"))
    for metric, label, unit in (
        ("snr", "median SNR", ""),
        ("firing_rate_hz", "median rate", "spikes/s"),
    ):
        if metric in quality:
            low, high = (format_number(quality[metric][k]) for k in ("min", "max"))
            small = f"{low} to {high} {unit}".strip()
            cards.append((format_number(quality[metric]["median"]), label, small))
    duration_s = stream.get("duration_s")
    if duration_s:
        rate = format_number(float(stream.get("sampling_rate_hz") or 0) / 1000)
        small = f"at {rate} kHz" if stream.get("sampling_rate_hz") else ""
        cards.append((format_duration(duration_s), "recorded", small))
    if stream.get("channel_count"):
        cards.append(
            (format_number(stream["channel_count"]), "channels", str(stream.get("dtype") or ""))
        )
    sort_s = timings.get("sort")
    if isinstance(sort_s, (int, float)) and sort_s > 0:
        speed = f"{format_number(duration_s / sort_s)}× real time" if duration_s else ""
        cards.append((format_duration(sort_s), "sorting", speed))
    elif record.get("wall_time_s") is not None:
        cards.append((format_duration(record["wall_time_s"]), "wall time", ""))
    return cards


def _stages(record: ReportRecord) -> list[dict[str, Any]]:
    """Attempts with their share of the whole time; the sort's steps below it."""
    attempts = record["attempts"]
    total_s = sum(a["wall_s"] or 0.0 for a in attempts) or 1.0
    return [
        {
            **attempt,
            "share": 100 * (attempt["wall_s"] or 0.0) / total_s,
            "steps": {k: v for k, v in attempt["timings_s"].items() if "." not in k},
            "message": (attempt["failure"] or {}).get("message", ""),
            "word": state_word(attempt["state"]),
        }
        for attempt in attempts
    ]


def _moment(value: Any) -> str:
    """2026-11-20 18:03:05 UTC from an ISO time."""
    return f"{str(value)[:19].replace('T', ' ')} UTC" if value else MISSING
