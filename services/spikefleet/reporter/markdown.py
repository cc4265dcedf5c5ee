"""The record as Markdown, for terminals, mail and issue trackers.

Sections in a fixed order; a section without content is left out. Numbers have three significant
digits. Decides nothing: the record says it all. Words from outside stay words: no HTML begins in
them, and they steer no terminal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from spikefleet.core.text import FOR_PROGRAMS, counted, format_duration, format_size
from spikefleet.core.visible_text import visible
from spikefleet.reporter.before_sort import tell_canary
from spikefleet.reporter.curated import tell_edits
from spikefleet.reporter.sections import ReportRecord, Spread
from spikefleet.reporter.times import steps_in_order, tell_times
from spikefleet.reporter.wording import (
    describe_event,
    format_fact,
    format_name,
    format_number,
    format_value,
    pick_peaks,
    state_word,
    text_lines,
)

_HTML_BEGINS = re.compile(r"<(?=[A-Za-z/!?])")
_METRIC_TITLES = {
    "snr": "SNR",
    "std_norm": "Normalised std",
    "amplitude_uv": "Amplitude (µV)",
    "firing_rate_hz": "Firing rate (Hz)",
    "isi_percent": "Refractory violations (fraction)",
}


def format_markdown(record: ReportRecord) -> str:
    """Return the report's text."""
    verdict = record["verdict"]
    lines = [f"# {record['rec_name']}", "", f"**{verdict['label']}.** {verdict['sentence']}", ""]
    if verdict["next_step"]:
        lines += [f"Next step: {verdict['next_step']}", ""]
    if record.get("changed_params"):
        changed = format_value(record["changed_params"])
        lines += [f"Not the parameters that were asked for: a retry changed {changed}.", ""]
    for title, body in (
        ("Curation outcome", _curation(record)),
        ("Overview", _overview(record)),
        ("Times", _times(record)),
        ("Failure", _failure(record)),
        ("Findings before the sort", _findings(record)),
        ("Settings that differ from the defaults", _settings(record)),
        ("Sorter parameters", _sorter_params(record)),
        ("Environment", _pairs(record.get("versions") or {})),
        ("Pipeline timing", _timing(record)),
        ("Unit quality distributions", _quality(record)),
        ("Resources", _pairs(pick_peaks(record.get("peaks") or {}))),
        ("Projected and used", _projection(record)),
        ("Decisions", _decisions(record)),
        ("Recording files", _files(record)),
        ("Notes", [f"- {note}" for note in record.get("notes") or []]),
    ):
        if body:
            lines += [f"## {title}", "", *body, ""]
    return _HTML_BEGINS.sub("&lt;", visible("\n".join(lines)))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [
        "| " + " | ".join(header) + " |",
        "|" + " --- |" * len(header),
        *("| " + " | ".join(row) + " |" for row in cells),
    ]


def _pairs(values: Mapping[str, Any]) -> list[str]:
    rows = [(format_name(key), format_fact(key, value)) for key, value in sorted(values.items())]
    return _table(("name", "value"), rows)


def _projection(record: ReportRecord) -> list[str]:
    rows = [
        (
            format_name(name),
            format_fact(name, entry.get("projected")),
            format_fact(name, entry.get("used")),
            format_number(entry.get("ratio")),
        )
        for name, entry in sorted((record.get("projection") or {}).items())
    ]
    return _table(("resource", "projected", "used", "projected over used"), rows)


def _curation(record: ReportRecord) -> list[str]:
    curation = record.get("curation") or {}
    if not curation:
        return []
    curated = [u for u in record["units"] if u["passed"]]
    spikes = sum(int(u.get("spike_count") or 0) for u in curated)
    steps = [
        (
            str(s["name"]),
            f"{'≥' if s['at_least'] else '≤'} {format_number(s['bound'])}",
            str(s["n_failed"]),
            str(s["n_left"]),
        )
        for s in curation["steps"]
    ]
    sentence = (
        f"{curation['n_sorted']} → {counted(curation['n_curated'], 'unit')} "
        f"({curation['n_sorted'] - curation['n_curated']} removed), "
        f"{counted(spikes, 'spike')} in curated units."
    )
    edits = tell_edits(curation)
    told = [sentence, "", edits, ""] if edits else [sentence, ""]
    return [*told, *_table(("criterion", "bound", "removed", "left"), steps)]


def _overview(record: ReportRecord) -> list[str]:
    run, stream = record["run"], record.get("stream") or {}
    rows = [
        ("Status", str(record["status"])),
        ("Run", str(run.get("run_id", ""))),
        ("Sorter", str(run.get("backend", ""))),
        ("Stream", str(run.get("stream", ""))),
        ("Recording", str(record["rec_path"])),
        ("Recorded", format_duration(stream.get("duration_s"))),
        ("Sorted", format_duration((record.get("timeline") or {}).get("sorted_s"))),
        ("Channels", format_value(stream.get("channel_count"))),
        ("Wall time", format_duration(record["wall_time_s"])),
        ("Retries", str(record["retries_used"])),
        ("Curated units", format_value(record["n_curated_units"])),
        ("Results", str(record["results_folder"])),
        ("Log", str(record["log_path"] or "")),
        ("Submitted by", str(run.get("submitter", ""))),
    ]
    return _table(("", ""), [row for row in rows if row[1] not in ("", "–")])


def _times(record: ReportRecord) -> list[str]:
    times = record.get("timeline") or {}
    sentences = tell_times(times)
    files = times.get("files") or []
    if len(files) < 2:
        return sentences
    rows = [
        (
            str(file["name"]),
            format_duration(file["start_s"]),
            format_duration(file["duration_s"]),
            format_duration(file["sorted_s"]),
        )
        for file in files
    ]
    return [*sentences, "", *_table(("recording", "starts at", "length", "sorted"), rows)]


def _failure(record: ReportRecord) -> list[str]:
    failure = record.get("failure") or {}
    if not failure:
        return []
    head = [
        f"`{failure.get('code', '')}` ({failure.get('category', '')}), decided by "
        f"`{failure.get('rule_id') or 'no rule'}` in stage {failure.get('stage') or 'unknown'}.",
        "",
    ]
    told = failure.get("evidence") or {}
    evidence = {name: value for name, value in told.items() if name not in FOR_PROGRAMS}
    texts = {name: lines for name, value in evidence.items() if (lines := text_lines(value))}
    pairs = _pairs({name: value for name, value in evidence.items() if name not in texts})
    for name, lines in sorted(texts.items()):
        pairs += ["", f"{format_name(name)}:", "", *(f"    {line}" for line in lines)]
    return head + pairs


def _findings(record: ReportRecord) -> list[str]:
    findings, trial = record.get("findings") or [], tell_canary(record.get("canary") or {})
    return ([f"- **trial** {trial}"] if trial else []) + [
        f"- **{f.get('level')}** `{f.get('code')}`: {f.get('message')} {f.get('remediation', '')}"
        for f in findings
    ]


def _settings(record: ReportRecord) -> list[str]:
    rows = [(f"`{k}`", format_value(v)) for k, v in (record.get("config_diff") or {}).items()]
    return _table(("setting", "value"), rows)


def _sorter_params(record: ReportRecord) -> list[str]:
    rows = [
        (f"`{row['name']}`", format_value(row["value"]), str(row["chosen_by"]))
        for row in record.get("sorter_params") or []
    ]
    return _table(("parameter", "value", "chosen by"), rows)


def _timing(record: ReportRecord) -> list[str]:
    rows = [
        (f"{a['stage']} {a['number']}", state_word(a["state"]), format_duration(a["wall_s"]))
        for a in record["attempts"]
    ]
    rows += [
        (f"sort: {step}", "", format_duration(seconds))
        for step, seconds in steps_in_order(record.get("timings_s")).items()
    ]
    return _table(("stage", "state", "time"), rows)


def _quality(record: ReportRecord) -> list[str]:
    names = tuple(Spread.__annotations__)
    quality: Mapping[str, Mapping[str, Any]] = record.get("quality") or {}
    rows = [
        (title, *(format_number(quality[metric].get(name)) for name in names))
        for metric, title in _METRIC_TITLES.items()
        if metric in quality
    ]
    return _table(("metric", *names), rows)


def _decisions(record: ReportRecord) -> list[str]:
    return [
        f"- {str(event.get('created_at') or '')[:19].replace('T', ' ')} UTC {describe_event(event)}"
        for event in record["events"]
    ]


def _files(record: ReportRecord) -> list[str]:
    files = sorted(
        (record.get("recording") or {}).get("files") or [],
        key=lambda f: -int(f.get("size_bytes") or 0),
    )[:50]
    rows = [
        (f"`{f.get('path')}`", format_size(f.get("size_bytes")), f"`{str(f.get('sha256'))[:16]}`")
        for f in files
    ]
    return _table(("file", "size", "SHA-256"), rows)
