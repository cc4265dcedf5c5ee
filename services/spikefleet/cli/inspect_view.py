"""How ``spikefleet inspect`` looks to a person: one table of streams, then what is doubtful."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from spikefleet.cli.printing import table, with_next_step
from spikefleet.core.failures.codes import FailureCategory
from spikefleet.core.findings.next_step import next_step_for
from spikefleet.core.text import counted, format_duration, format_size

if TYPE_CHECKING:  # the science stack is imported by the command, when it runs
    from spikefleet.core.findings.finding import Finding
    from spikefleet.signal.measuring.summary import (
        ProbeSummary,
        RecordingInspection,
        ScaleSummary,
        StreamInspection,
    )

_STYLES = {"fail": "bold red", "warn": "yellow", "note": "cyan"}
_GAPS_SHOWN = 5
_REMEDY_IN_MESSAGE = ("no_geometry", "several_segments")


def inspection_lines(
    path: Path, found: RecordingInspection, drawn: Sequence[Mapping[str, str]]
) -> list[RenderableType]:
    """Return what to print of an inspection and of the pictures made of each stream."""
    count = len(found.streams)
    streams, files = counted(count, "stream"), counted(found.n_files, "file")
    head = f"{path}: {found.format}, {format_size(found.size_bytes)} in {files}, {streams}"
    lines: list[RenderableType] = [Text(head, style="bold"), _streams_table(found)]
    findings = _findings_table(found)
    if findings.row_count:
        lines += [Text(), findings]
    lines += _refusals(found)
    if found.other_streams:
        others = ", ".join(found.other_streams)
        lines.append(Text(f"Also inside, sorted only when named: {others}", style="dim"))
    if found.beside:
        beside = ", ".join(found.beside)
        lines.append(
            Text(
                f"Beside it in the folder, not part of this recording: {beside}. "
                "Submit each by name.",
                style="yellow",
            )
        )
    return lines + [Text(line) for line in dict.fromkeys(_picture_lines(found, drawn))]


def _picture_lines(found: RecordingInspection, drawn: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """What became of the pictures; a reason told above already is not told again."""
    told = {entry.refusal.message for entry in found.streams if entry.refusal is not None}
    for made in drawn:
        for kind, said in made.items():
            wanted = kind.removesuffix("_refused")
            if kind == wanted:
                yield f"drawn: {said}"
            else:
                yield f"no {wanted} picture: {'the reason is above' if said in told else said}"


def _refusals(found: RecordingInspection) -> list[RenderableType]:
    """Why streams cannot be sorted, each reason once."""
    streams: dict[str, list[str]] = {}
    failures = {}
    for entry in found.streams:
        if entry.refusal is not None:
            streams.setdefault(entry.refusal.message, []).append(entry.stream.stream)
            failures[entry.refusal.message] = entry.refusal
    lines: list[RenderableType] = []
    for message, failure in failures.items():
        # Where the message itself says what to do, the table's general advice would mislead.
        remedied = (
            failure.evidence.get("reason") in _REMEDY_IN_MESSAGE
            or failure.category is FailureCategory.ENVIRONMENT  # speaks of a lane's hold
        )
        told = with_next_step(message, "" if remedied else next_step_for(failure), "red")
        named = ", ".join(streams[message])
        lines.append(Text.assemble("\n", (f"{named}: ", "bold red"), told))
    return lines


def _streams_table(found: RecordingInspection) -> Table:
    made = table(
        "stream", ">channels", ">rate", ">duration", "samples", "scale", "probe", "tables", "sort?"
    )
    for entry in found.streams:
        stream = entry.stream
        readable = stream.n_channels > 0
        made.add_row(
            stream.stream or "–",
            str(stream.n_channels) if readable else "–",
            f"{stream.sampling_rate_hz / 1000:g} kHz" if readable else "–",
            format_duration(stream.duration_s) if readable else "–",
            stream.dtype or "–",
            _scale_text(entry.scale),
            _probe_text(entry.probe) if entry.n_samples else "–",
            ", ".join(f"{count} {name}" for name, count in entry.tables.items()) or "–",
            Text("yes", style="green") if entry.sortable else Text("no", style="bold red"),
        )
    return made


def _scale_text(scale: ScaleSummary | None) -> str:
    if scale is None:
        return "–"
    text = f"{_span_text(scale.gain_to_uv)} µV/bit"
    if scale.offset_to_uv != (0.0, 0.0):
        low = scale.offset_to_uv[0]
        text += f" {'-' if low < 0 else '+'} {_span_text(scale.offset_to_uv).lstrip('-')} µV"
    return f"{text} (assumed)" if scale.assumed else text


def _span_text(span: tuple[float, float]) -> str:
    low, high = span
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _probe_text(probe: ProbeSummary | None) -> str:
    if probe is None:
        return "none"
    name = ", ".join(dict.fromkeys(probe.names))
    shanks = f", {probe.n_shanks} shanks" if probe.n_shanks > 1 else ""
    width, height = (high - low for low, high in (probe.x_um, probe.y_um))
    return f"{name}: {probe.n_contacts} contacts{shanks}, {width:.0f} x {height:.0f} µm"


def _findings_table(found: RecordingInspection) -> Table:
    """One row per doubt; streams that share it share the row."""
    rows: dict[tuple[str, str, str, str], list[str]] = {}
    for entry in found.streams:
        for finding in entry.findings:
            said = _gaps_said(finding, entry)
            row = (finding.code, str(finding.level), said, finding.remediation)
            rows.setdefault(row, []).append(entry.stream.stream)
    several = len(found.streams) > 1
    made = table("finding", "level", *(["streams"] if several else []), "what", "next")
    for (code, level, said, remedy), streams in rows.items():
        named = ["all" if len(streams) == len(found.streams) else ", ".join(streams)]
        made.add_row(
            code, Text(level, style=_STYLES[level]), *(named if several else []), said, remedy
        )
    return made


def _gaps_said(finding: Finding, entry: StreamInspection) -> str:
    """The finding's sentence; of missing frames also the first few places."""
    if finding.code != "frame_gaps" or len(entry.frame_gaps) < 2:
        return finding.message
    shown = entry.frame_gaps[:_GAPS_SHOWN]
    listed = ", ".join(f"{missing} at frame {frame}" for frame, missing in shown)
    more = len(entry.frame_gaps) - len(shown)
    return f"{finding.message} {listed}{f' and {more} more' if more else ''}."
