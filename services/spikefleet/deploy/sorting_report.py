"""Reports of fetched runs in Python, by the names that earlier pipelines gave them.

``SortRunReport`` sums up what ``sort_recording`` returned, ``extract_unit_quality_stats`` the
curated units of a fetched folder, ``parse_sorting_log`` the sorter's log; and
``generate_sorting_report`` writes the run's Markdown again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median, pstdev
from typing import Any, cast

from spikefleet.core.files import write_text
from spikefleet.deploy.notebook import RecordingResult
from spikefleet.reporter.markdown import format_markdown
from spikefleet.reporter.sections import ReportRecord
from spikefleet.reporter.sources import JSON_FILE, MARKDOWN_FILE
from spikefleet.signal.units.fetched_results import (
    FetchedResults,
    load_results,
    read_document,
    unreadable,
)

QUALITY = ("snr", "std_norm", "amplitude_uv", "firing_rate_hz")
_TAIL_LINES = 200
_MOST_LOG_BYTES = 64 << 20
_SAID = re.compile(r"^\[spikefleet\] (?:step=(?P<step>\w+)|fraction=[\d.]+|(?P<words>.+))$")
_WARNING = re.compile(r"warn(ing)?s?\b", re.IGNORECASE)
_TRACEBACK = "Traceback (most recent call last):"


@dataclass(frozen=True)
class SortRunReport:
    """Several recordings sorted together, in input order."""

    records: tuple[RecordingResult, ...]

    @property
    def succeeded(self) -> tuple[RecordingResult, ...]:
        """Those with a complete, verified result."""
        return tuple(record for record in self.records if record.succeeded)

    @property
    def failed(self) -> tuple[RecordingResult, ...]:
        """All others."""
        return tuple(record for record in self.records if not record.succeeded)

    @property
    def all_succeeded(self) -> bool:
        """True where every one did; of nothing it is False."""
        return bool(self.records) and not self.failed

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready records with their counts."""
        rows = [
            {**asdict(record), "status": str(record.status), "results_folder": _text(record)}
            for record in self.records
        ]
        counts = {"n_total": len(self.records), "n_succeeded": len(self.succeeded)}
        return {"records": rows, **counts, "n_failed": len(self.failed)}


def _text(record: RecordingResult) -> str | None:
    return None if record.results_folder is None else str(record.results_folder)


def extract_unit_quality_stats(results: FetchedResults | str | Path) -> dict[str, Any]:
    """Return n, mean, median, std, min and max of each metric over the curated units.

    ``results`` is a fetched folder, or what ``load_results`` gave of it. Metrics are SNR, spread,
    amplitude (µV) and rate (Hz); a unit in which one was not measured is left out of it, a metric
    that no unit has is missing. ``total_spikes`` counts the curated units' spikes. Raises as
    ``load_results``.
    """
    found = results if isinstance(results, FetchedResults) else load_results(results)
    units = list(found.curated.values())
    stats: dict[str, Any] = {}
    for metric in QUALITY:
        values = [
            float(unit.metrics[metric])
            for unit in units
            if isinstance(unit.metrics.get(metric), int | float)
        ]
        if values:
            stats[metric] = {
                "n": len(values),
                "mean": fmean(values),
                "median": median(values),
                "std": pstdev(values),
                "min": min(values),
                "max": max(values),
            }
    stats["total_spikes"] = sum(len(unit.spike_frames) for unit in units)
    return stats


def parse_sorting_log(path: str | Path) -> dict[str, Any]:
    """Return what a sort's log tells: ``stages``, ``said``, ``warnings``, ``traceback``, ``tail``.

    ``path`` is a log, or the folder of a fetched run (its ``sort/logs/child.log``). ``stages`` are
    the steps in their order, ``said`` the service's own lines, ``traceback`` the lines of the last
    one ("" without), ``tail`` the last 200 lines. Of a log beyond 64 MB only its end is read.
    Raises FileNotFoundError where there is none.
    """
    place = Path(path)
    log = place / "sort" / "logs" / "child.log" if place.is_dir() else place
    if not log.is_file():  # to open a pipe would wait for ever
        raise FileNotFoundError(f"{log} is no log of a sort")
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _MOST_LOG_BYTES))
        text = file.read(_MOST_LOG_BYTES).decode("utf-8", errors="replace")
    lines = re.split(r"[\r\n]+", text.rstrip("\r\n"))
    stages: list[str] = []
    said: list[str] = []
    for line in lines:
        match = _SAID.match(line)
        if match is None:
            continue
        if match["step"] and match["step"] not in stages[-1:]:
            stages.append(match["step"])
        if match["words"]:
            said.append(match["words"])
    return {
        "stages": stages,
        "said": said,
        "warnings": [line for line in lines if _WARNING.search(line)],
        "traceback": _last_traceback(lines),
        "tail": lines[-_TAIL_LINES:],
    }


def _last_traceback(lines: Sequence[str]) -> str:
    """The last traceback with the line that names the exception."""
    starts = [index for index, line in enumerate(lines) if line.startswith(_TRACEBACK)]
    if not starts:
        return ""
    for end in range(starts[-1] + 1, len(lines)):
        if lines[end] and not lines[end].startswith((" ", "\t")):
            return "\n".join(lines[starts[-1] : end + 1])
    return "\n".join(lines[starts[-1] :])


def generate_sorting_report(folder: str | Path) -> Path:
    """Write ``report.md`` of a fetched run again, from its record; return where it is.

    The record (``recording_report.json``) stays as it is. Raises InputCorruptError where it is
    missing or not a record.
    """
    root = Path(folder)
    name = f"report/{JSON_FILE}"
    record: Mapping[str, Any] = read_document(root, name)
    if not record:
        raise unreadable(root / name, "there is no such file")
    try:
        text = format_markdown(cast(ReportRecord, record))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise unreadable(root / name, f"no record of a run: {error}") from error
    path = root / "report" / MARKDOWN_FILE
    write_text(path, text)
    return path
