"""From the evidence of an attempt's end to one classified failure.

The first rung that answers wins: a guard's trip, a request to stop, the kernel's word on memory, a
failure the child classified itself, then the rules (exception type, sorter frame, text, log), then
the signal or exit code. What nothing matches is UNCLASSIFIED with a fingerprint. Nothing is
retried or decided here, and no foreign library is imported.
"""

from __future__ import annotations

import re
import signal as signals
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from spikefleet.core.failures import (
    rules_gpu,
    rules_host,
    rules_kilosort,
    rules_sorters,
)
from spikefleet.core.failures.codes import BY_EXIT_CODE, FailureCode
from spikefleet.core.failures.errors import Failure, JsonValue
from spikefleet.core.failures.fingerprint import fingerprint
from spikefleet.core.failures.rules_base import Evidence, Rule, Source, extract
from spikefleet.core.failures.rules_measured import refine
from spikefleet.core.failures.thrown import Thrown, from_document, from_text

__all__ = ["RULES", "Evidence", "classify", "read_log_tail"]

MAX_LOG_BYTES = 2_000_000
_LOG_LINES_KEPT = 50
_LINE_KEPT = 400
_TEXT_KEPT = 500
_STOPS = frozenset({signals.SIGTERM, signals.SIGINT, signals.SIGHUP})

RULES: tuple[Rule, ...] = tuple(
    sorted(
        (*rules_gpu.RULES, *rules_host.RULES, *rules_kilosort.RULES, *rules_sorters.RULES),
        key=lambda rule: (rule.source, rule.priority),
    )
)

_SORTING_COMPONENTS = (
    "spikeinterface/sorters/internal/",
    "spikeinterface/sortingcomponents/",
)
_PACKAGES: Mapping[str, tuple[str, ...]] = {
    "kilosort4": ("kilosort/",),
    "mountainsort5": ("mountainsort5/", "isosplit6/"),
}


def read_log_tail(path: Path, limit_bytes: int = 262_144) -> str:
    """Return the end of a log, from a line's start; "" when it cannot be read.

    Never reads more than 2 MB, however long the log is. Progress bars become lines.
    """
    limit = max(0, min(limit_bytes, MAX_LOG_BYTES))
    try:
        with path.open("rb") as handle:
            size = handle.seek(0, 2)
            handle.seek(max(0, size - limit))
            text = handle.read(limit).decode("utf-8", errors="replace")
    except OSError:
        return ""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if size <= limit else text.partition("\n")[2]


def classify(evidence: Evidence) -> Failure:
    """Return what ended the attempt. Never raises on strange evidence; always gives a failure."""
    if evidence.trip is not None:
        return evidence.trip
    if evidence.interrupted:
        return _of(
            evidence,
            FailureCode.ATTEMPT_INTERRUPTED,
            "parent.interrupted",
            "The attempt was told to stop before it had finished.",
        )
    if evidence.oom_kill_delta > 0:
        return _of(
            evidence,
            FailureCode.HOST_OUT_OF_MEMORY,
            "kernel.oom_kill",
            "The kernel killed the sorter because the memory limit was reached.",
            oom_kills=evidence.oom_kill_delta,
        )
    told = _classified_by_child(evidence)
    if told is not None:
        return refine(told, evidence)
    thrown = _thrown(evidence)
    found = _by_rules(evidence, thrown)
    if found is not None:
        return refine(found, evidence)
    return _by_exit(evidence, thrown)


def _of(
    evidence: Evidence, code: FailureCode, rule_id: str, message: str, **found: JsonValue
) -> Failure:
    facts: dict[str, JsonValue] = {
        "sorter": evidence.backend,
        "step": evidence.step or str((evidence.child_failure or {}).get("step", "")),
        "exit_code": evidence.exit_code,
        "signal": _signal_name(_signal_of(evidence)),
        **found,
    }
    kept = {name: value for name, value in facts.items() if value not in (None, "")}
    return Failure(code, message, stage="sort", rule_id=rule_id, evidence=kept)


def _classified_by_child(evidence: Evidence) -> Failure | None:
    document = (evidence.child_failure or {}).get("classified")
    if not isinstance(document, Mapping):
        return None
    try:
        told = Failure.from_json(document)
    except (KeyError, ValueError, TypeError):
        return None
    return replace(told, stage=told.stage or "sort", rule_id=told.rule_id or "child.raised")


def _thrown(evidence: Evidence) -> list[Thrown]:
    """The exception that ended the child and its causes; from the log when it left no document.

    A child killed by a signal raised nothing: tracebacks in its log are of errors it got over.
    """
    if evidence.child_failure:
        return from_document(evidence.child_failure)
    return [] if _signal_of(evidence) else from_text(evidence.log_tail)[:1]


def _by_rules(evidence: Evidence, thrown: Sequence[Thrown]) -> Failure | None:
    step = evidence.step or str((evidence.child_failure or {}).get("step", ""))
    for exception in thrown:
        for rule in RULES:
            if rule.source is Source.LOG or not _applies(rule, evidence.backend, step):
                continue
            found = _match(rule, exception, evidence.backend)
            if found is not None:
                return _failure_of(rule, evidence, exception, found)
    for rule in RULES:
        if rule.source is Source.LOG and _applies(rule, evidence.backend, step):
            line, found = _match_log(rule, evidence.log_tail)
            if found is not None:
                ended = thrown[0] if thrown else None
                return _failure_of(rule, evidence, ended, {**found, "log_line": line})
    return None


def _applies(rule: Rule, backend: str, step: str) -> bool:
    return (not rule.sorter or backend in rule.sorter) and (not rule.step or rule.step == step)


def _match(rule: Rule, thrown: Thrown, backend: str) -> dict[str, JsonValue] | None:
    """Return the rule's extracts when every condition it sets holds, else None."""
    if rule.errno and thrown.errno not in rule.errno:
        return None
    if rule.exception and not _regex(rule.exception).search(thrown.type_name):
        return None
    if rule.frame:
        packages = _PACKAGES.get(backend, _SORTING_COMPONENTS)
        if not _regex(rule.frame).search(thrown.innermost(packages)):
            return None
    if rule.unless and _regex(rule.unless).search(thrown.message):
        return None
    if not rule.pattern:
        return {}
    # Libraries print the type in front of the text; rules may want either.
    found = _regex(rule.pattern).search(thrown.message)
    return extract(found.groupdict()) if found else None


def _match_log(rule: Rule, log: str) -> tuple[str, dict[str, JsonValue] | None]:
    """Search single lines, the last one first."""
    for line in reversed(log.splitlines()):
        found = _regex(rule.pattern).search(line)
        if found and not (rule.unless and _regex(rule.unless).search(line)):
            return line.strip()[:_LINE_KEPT], extract(found.groupdict())
    return "", None


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _failure_of(
    rule: Rule, evidence: Evidence, thrown: Thrown | None, found: Mapping[str, JsonValue]
) -> Failure:
    facts: dict[str, JsonValue] = {**_told_by(thrown, evidence.backend), **rule.evidence, **found}
    message = rule.message
    if rule.code is FailureCode.INVALID_CONFIGURATION and thrown is not None:
        message = f"{rule.message} It said: {thrown.message.strip().splitlines()[0][:200]}"
    if rule.code is FailureCode.INPUT_CORRUPT and evidence.preflight.get("digest_verified") is True:
        facts["digest_verified"] = True
    return _of(evidence, rule.code, rule.rule_id, message, **facts)


def _told_by(thrown: Thrown | None, backend: str) -> dict[str, JsonValue]:
    if thrown is None:
        return {}
    packages = _PACKAGES.get(backend, _SORTING_COMPONENTS)
    return {
        "exception_type": thrown.type_name,
        "exception_message": thrown.message[:_TEXT_KEPT],
        "frame": thrown.innermost(packages) or (thrown.frames[-1] if thrown.frames else ""),
    }


def _signal_of(evidence: Evidence) -> int:
    """The signal that ended the child; shells report it as 128 + n, Python as -n."""
    code = evidence.exit_code or 0
    if evidence.signal:
        return evidence.signal
    if code < 0:
        return -code
    return code - 128 if 128 < code < 160 else 0


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name if number else ""
    except ValueError:
        return f"signal {number}"


def _by_exit(evidence: Evidence, thrown: Sequence[Thrown]) -> Failure:
    number = _signal_of(evidence)
    log: dict[str, Any] = {"log_tail": _last_lines(evidence.log_tail)}
    if number in _STOPS:
        return _of(
            evidence,
            FailureCode.ATTEMPT_INTERRUPTED,
            "exit.stopped",
            f"The sorter was stopped from outside ({_signal_name(number)}).",
        )
    if number:
        return _of(
            evidence,
            FailureCode.SORTER_CRASH,
            "exit.signal",
            f"The sorter's process was ended by {_signal_name(number)} without saying why.",
            **log,
        )
    row = BY_EXIT_CODE.get(evidence.exit_code or 0)
    if row is not None and not thrown:
        return _of(evidence, row.code, "exit.table", row.meaning, **log)
    if evidence.exit_code == 0 and not thrown:
        return _of(
            evidence,
            FailureCode.INCOMPLETE,
            "exit.zero",
            "The sorter ended without an error but left no complete result.",
            **log,
        )
    return _unclassified(evidence, thrown)


def _unclassified(evidence: Evidence, thrown: Sequence[Thrown]) -> Failure:
    log = _last_lines(evidence.log_tail)
    if thrown:
        ended = thrown[0]
        mark = fingerprint(ended.type_name, ended.frames, ended.message)
        first = (ended.message.strip().splitlines() or [""])[0][:200]
        said = f"{ended.type_name.rpartition('.')[2]}: {first}" if first else ended.type_name
    else:
        ended = None
        said = log[-1] if log else f"exit code {evidence.exit_code}"
        mark = fingerprint(f"exit {evidence.exit_code}", (), log[-1] if log else "")
    return _of(
        evidence,
        FailureCode.UNCLASSIFIED,
        "none",
        f"The sorter failed in a way that is not known yet: {said}",
        fingerprint=mark,
        **{**_told_by(ended, evidence.backend), "log_tail": list(log)},
    )


def _last_lines(log: str) -> list[str]:
    lines = [line.rstrip()[:_LINE_KEPT] for line in log.splitlines() if line.strip()]
    return lines[-_LOG_LINES_KEPT:]
