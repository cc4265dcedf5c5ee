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
from spikefleet.reporter.figures import Drawing
from spikefleet.reporter.sections import ReportRecord
from spikefleet.reporter.times import tell_times
from spikefleet.reporter.unit_cards import UnitCard
from spikefleet.reporter.unit_rows import COLUMNS, unit_rows
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
    shown = {
        "record": record,
        "run": record["run"],
        "verdict": record["verdict"],
        "cards": make_cards(record),
        "figures": {drawing.name: drawing for drawing in drawings},
        "columns": COLUMNS,
        "rows": unit_rows(record["units"], waveforms, {card.unit_id for card in units}),
        "unit_cards": units,
        "stages": _stages(record),
        "findings": record.get("findings") or [],
        "trial": tell_canary(record.get("canary") or {}),
        "peaks": pick_peaks(record.get("peaks") or {}),
        "place": record.get("rec_path") or "",
        "times": tell_times(record.get("timeline") or {}),
        **{name: record.get(name) or {} for name in _DOCUMENTS},
    }
    try:
        return str(environment.get_template("report.html.j2").render(shown))
    except TemplateError as error:
        raise ValueError(f"the page cannot be made from this record: {error}") from error


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
