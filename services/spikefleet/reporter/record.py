"""The record of a run: ``recording_report.json``, from which page and Markdown are made.

Pure: the same input gives the same record, so nothing is read from the clock or the machine. It
keeps the fields known from earlier pipelines (rec_name … min_disk_free_gb) at the top and puts
everything else into named sections. A missing part of the input is a missing part of the record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import fmean, median, pstdev
from typing import Any, cast

from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FAILURES
from spikefleet.core.rooms.reporting import ReportTask
from spikefleet.reporter.before_sort import join_findings, tell_blind_guards
from spikefleet.reporter.curated import curated_units, curation_section
from spikefleet.reporter.effective_params import effective_params
from spikefleet.reporter.sections import (
    AttemptSection,
    EventSection,
    KnownFields,
    ReportRecord,
    RunSection,
    Spread,
    StreamSection,
)
from spikefleet.reporter.times import describe_times, steps_in_order
from spikefleet.reporter.verdict import make_verdict
from spikefleet.signal.preparing.timeline import Timeline

RECORD_VERSION = 1
QUALITY_METRICS = ("snr", "std_norm", "amplitude_uv", "firing_rate_hz", "isi_percent")
_CLASS_NAMES = {str(row.code): row.class_name for row in FAILURES}
_RUN_FIELDS = tuple(RunSection.__annotations__)


@dataclass(frozen=True)
class Material:
    """What the run's stages left in the artifact store.

    ``curation`` is curation.json, ``sort`` the child's result.json; ``notes`` are sentences about
    what could not be read.
    """

    curation: Mapping[str, Any] = field(default_factory=dict)
    sort: Mapping[str, Any] = field(default_factory=dict)
    recording_s: float | None = None
    timeline: Timeline | None = None
    channel_count: int | None = None
    notes: tuple[str, ...] = ()


def build_record(task: ReportTask, material: Material, defaults: Mapping[str, Any]) -> ReportRecord:
    """Return the record. ``defaults`` is the resolved configuration nothing was changed in."""
    source = task.record
    run = _mapping(source.get("run"))
    failure = run["failure"] = _failure(run)
    # A report is not part of itself: the attempt that makes it has not ended yet.
    attempts = [
        _attempt(a) for a in _list(source.get("attempts")) if a.get("stage") != Stage.REPORT
    ]
    config = _mapping(source.get("config")) or _mapping(run.get("config"))
    units = curated_units(material.curation)
    recording = _mapping(source.get("recording"))
    preflight = _mapping(source.get("preflight"))
    last = _last_sort(attempts)
    curation = curation_section(material.curation)
    if curation:
        curation["name"] = str(source.get("curation_name") or "")
    known = _known_fields(task, run, attempts, units, recording)
    return {
        "version": RECORD_VERSION,
        **known,
        "run": _run(run, task.run_id),
        "failure": failure or None,
        "recording": recording,
        "stream": _stream(preflight, material),
        "timeline": describe_times(material.timeline),
        "preflight": preflight,
        "findings": join_findings(_list(preflight.get("findings")), last["node"] if last else {}),
        "canary": last["canary"] if last else {},
        "attempts": attempts,
        "events": [_event(e) for e in _list(source.get("events"))],
        "config": config,
        "config_diff": _mapping(source.get("config_diff")) or diff_config(config, defaults),
        "changed_params": _changed_params(run),
        "sorter_params": effective_params(
            str(run.get("backend") or ""),
            _mapping(material.sort.get("sorter_params")),
            _mapping(_mapping(config.get("sorter")).get("sorter_params")),
            _mapping(last["params"].get("sorter_params")) if last else {},
        ),
        "timings_s": last["timings_s"] if last else {},
        "versions": (last["versions"] if last else {}) or _mapping(material.sort.get("versions")),
        "peaks": last["peaks"] if last else {},
        "projection": _mapping(_mapping(run.get("result")).get("projection")),
        "curation": curation,
        "verdict": make_verdict(known["status"], failure, curation),
        "units": units,
        "quality": _quality(units),
        "files": [],
        "notes": [*material.notes, *tell_blind_guards(last["blind_guards"] if last else {})],
    }


def _known_fields(
    task: ReportTask,
    run: Mapping[str, Any],
    attempts: Sequence[AttemptSection],
    units: Sequence[Mapping[str, Any]],
    recording: Mapping[str, Any],
) -> KnownFields:
    """The fields of a recording's result as earlier pipelines named them."""
    failure = _mapping(run.get("failure"))
    last = _last_sort(attempts)
    peaks = last["peaks"] if last else {}
    sorts = sum(a["stage"] == "sort" for a in attempts)
    message = str(failure.get("message") or "")
    free_bytes = peaks.get("disk.free_bytes")
    return {
        "rec_name": str(run.get("recording_name") or task.run_id),
        "rec_path": ", ".join(
            map(str, recording.get("paths") or [recording.get("location") or ""])
        ),
        "results_folder": f"runs/{task.run_id}",
        "status": str(run.get("status") or run.get("state") or "unknown"),
        "wall_time_s": _span_s(attempts),
        "n_curated_units": sum(bool(u.get("passed")) for u in units) if units else None,
        "error_class": failure.get("class_name"),
        "error_message": message[:500] or None,
        "retries_used": max(0, sorts - 1),
        "log_path": f"{task.sort.prefix}/logs" if task.sort else None,
        "peak_host_ram_pct": _percent(peaks.get("host_memory.used_ratio")),
        "peak_gpu_used_pct": _percent(peaks.get("gpu_memory.used_ratio")),
        "min_disk_free_gb": free_bytes / 1e9 if isinstance(free_bytes, (int, float)) else None,
    }


def diff_config(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted names of what differs from the defaults, with the run's value."""
    changed: dict[str, Any] = {}
    for group, fields in sorted(config.items()):
        if not isinstance(fields, Mapping):
            if fields != defaults.get(group):
                changed[group] = fields
            continue
        known = _mapping(defaults.get(group))
        for name, value in sorted(fields.items()):
            if name not in known or _plain(value) != _plain(known[name]):
                changed[f"{group}.{name}"] = value
    return changed


def _plain(value: Any) -> Any:
    """Tuples and lists, 1 and 1.0 say the same in a configuration."""
    return list(value) if isinstance(value, tuple) else value


def _run(run: Mapping[str, Any], run_id: str) -> RunSection:
    told = {name: run[name] for name in _RUN_FIELDS if run.get(name) not in (None, "")}
    return cast(RunSection, {"run_id": run_id, **told})


def _attempt(attempt: Mapping[str, Any]) -> AttemptSection:
    outcome = _mapping(attempt.get("outcome"))
    return {
        "attempt_id": str(attempt.get("attempt_id") or ""),
        "stage": str(attempt.get("stage") or ""),
        "number": int(attempt.get("number") or 0),
        "state": str(attempt.get("state") or ""),
        "params": _mapping(attempt.get("params")),
        "created_at": attempt.get("created_at"),
        "ended_at": attempt.get("ended_at"),
        "wall_s": _between_s(attempt.get("created_at"), attempt.get("ended_at")),
        "failure": _mapping(attempt.get("failure")) or None,
        "timings_s": steps_in_order(outcome.get("timings_s")),
        "peaks": _mapping(outcome.get("peaks")),
        "versions": _mapping(outcome.get("versions")),
        "node": _mapping(outcome.get("node")),
        "canary": _mapping(outcome.get("canary")),
        "blind_guards": _mapping(outcome.get("blind_guards")),
    }


def _event(event: Mapping[str, Any]) -> EventSection:
    return {
        "seq": int(event.get("seq") or 0),
        "kind": str(event.get("kind") or ""),
        "created_at": str(event.get("created_at") or ""),
        "from_state": event.get("from_state") or "",
        "to_state": event.get("to_state") or "",
        "body": _mapping(event.get("body")),
    }


def _stream(preflight: Mapping[str, Any], material: Material) -> StreamSection:
    """What was sorted, in numbers; the analyzer's word counts over preflight's."""
    known = _mapping(preflight.get("stream"))
    if "n_channels" in known:
        known["channel_count"] = known.pop("n_channels")
    stream = cast(StreamSection, known)
    if material.recording_s is not None:
        stream["duration_s"] = material.recording_s
    if material.channel_count is not None:
        stream["channel_count"] = material.channel_count
    return stream


def _quality(units: Sequence[Mapping[str, Any]]) -> dict[str, Spread]:
    """Distribution of each metric over the curated units; what was not measured is left out."""
    curated = [u for u in units if u["passed"]]
    summary: dict[str, Spread] = {}
    for metric in QUALITY_METRICS:
        values = [float(u[metric]) for u in curated if u.get(metric) is not None]
        if values:
            summary[metric] = {
                "n": len(values),
                "mean": fmean(values),
                "median": median(values),
                "std": pstdev(values),
                "min": min(values),
                "max": max(values),
            }
    return summary


def _last_sort(attempts: Sequence[AttemptSection]) -> AttemptSection | None:
    sorts = [a for a in attempts if a["stage"] == "sort"]
    return sorts[-1] if sorts else None


def _failure(run: Mapping[str, Any]) -> dict[str, Any]:
    """The run's failure with the class name that its code has in the table."""
    failure = _mapping(run.get("failure"))
    if failure:
        failure.setdefault("class_name", _CLASS_NAMES.get(str(failure.get("code"))))
    return failure


def _changed_params(run: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters a retry changed in a way that can change spikes; empty when none did."""
    result = _mapping(run.get("result"))
    return _mapping(result.get("params")) if result.get("result_affecting") else {}


def _percent(ratio: Any) -> float | None:
    return 100.0 * ratio if isinstance(ratio, (int, float)) else None


def _span_s(attempts: Sequence[AttemptSection]) -> float | None:
    """Seconds from the first attempt's decision to the last one's end, retries included."""
    starts = [start for a in attempts if (start := a["created_at"])]
    ends = [end for a in attempts if (end := a["ended_at"])]
    return _between_s(min(starts), max(ends)) if starts and ends else None


def _between_s(start: Any, end: Any) -> float | None:
    try:
        span = datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(start))
    except ValueError:
        return None
    return max(0.0, span.total_seconds())


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []
