"""From the evidence of an attempt's end to one classified failure.

The first rung that answers wins: a guard's trip, a request to stop, the kernel's word on memory, a
failure the child classified itself, an exit code of ours or a signal to stop, then the rules
(exception type, sorter frame, text, log), then any other signal or exit code. What nothing matches
is UNCLASSIFIED with a fingerprint. Nothing is retried or decided here, and no foreign library is
imported.
"""

from __future__ import annotations

import signal as signals
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from spikefleet.core.failures import (
    rules_gpu,
    rules_host,
    rules_kilosort,
    rules_kilosort2,
    rules_sorters,
)
from spikefleet.core.failures.codes import BY_EXIT_CODE, FAILURES, FailureCode, FailureRow
from spikefleet.core.failures.errors import Failure, JsonValue
from spikefleet.core.failures.fingerprint import fingerprint
from spikefleet.core.failures.matching import Match, match_exception, match_log, sorter_frame
from spikefleet.core.failures.reading import last_lines, read_log_head, read_log_tail
from spikefleet.core.failures.rules_base import Evidence, Rule
from spikefleet.core.failures.rules_measured import refine
from spikefleet.core.failures.thrown import Thrown, at_end_of, from_document

__all__ = ["RULES", "Evidence", "classify", "read_log_head", "read_log_tail"]

_LOG_LINES_KEPT = 50
_TEXT_KEPT = 500
_STOPS = frozenset({signals.SIGTERM, signals.SIGINT, signals.SIGHUP})
# Types that only say that something else failed: the log may know what.
_OPAQUE = frozenset(
    {"SpikeSortingError", "CalledProcessError", "BrokenProcessPool", "TerminatedWorkerError"}
)

RULES: tuple[Rule, ...] = tuple(
    sorted(
        (
            *rules_gpu.RULES,
            *rules_host.RULES,
            *rules_kilosort.RULES,
            *rules_kilosort2.RULES,
            *rules_sorters.RULES,
        ),
        key=lambda rule: (rule.source, rule.priority),
    )
)


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
    plain = _by_plain_end(evidence)
    if plain is not None:
        return plain
    thrown = _thrown(evidence)
    found = _by_rules(evidence, thrown)
    if found is not None:
        return refine(found, evidence)
    return refine(_by_exit(evidence, thrown), evidence)


def _of(
    evidence: Evidence, code: FailureCode, rule_id: str, message: str, **found: JsonValue
) -> Failure:
    facts: dict[str, JsonValue] = {
        "sorter": evidence.backend,
        "step": evidence.step or _step_of_child(evidence),
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
    return [] if _signal_of(evidence) else at_end_of(evidence.log_tail)


def _by_rules(evidence: Evidence, thrown: Sequence[Thrown]) -> Failure | None:
    step = evidence.step or _step_of_child(evidence)
    explained = [each for each in thrown if each.type_name.rpartition(".")[2] not in _OPAQUE]
    for exception in explained:
        own = _own_row(exception)
        if own is not None:
            message = _first_line(exception.message) or own.meaning
            return _of(evidence, own.code, "log.own_class", message)
        match = match_exception(RULES, evidence, step, exception)
        if match is not None:
            return _failure_of(match, evidence, exception)
    match = match_log(RULES, evidence, step, is_explained=bool(explained))
    if match is not None:
        return _failure_of(match, evidence, thrown[0] if thrown else None)
    for exception in thrown:
        match = match_exception(RULES, evidence, step, exception)
        if match is not None:
            return _failure_of(match, evidence, exception)
    return None


def _own_row(thrown: Thrown) -> FailureRow | None:
    """The row of one of our own classes, known here only by its printed name."""
    module, _, name = thrown.type_name.rpartition(".")
    own = module.startswith("spikefleet.")
    return next((row for row in FAILURES if own and row.class_name == name), None)


def _step_of_child(evidence: Evidence) -> str:
    return str((evidence.child_failure or {}).get("step", ""))


def _failure_of(match: Match, evidence: Evidence, thrown: Thrown | None) -> Failure:
    rule = match.rule
    facts: dict[str, JsonValue] = {
        **_told_by(thrown, evidence.backend),
        **rule.evidence,
        **match.found,
    }
    if match.line:
        facts["log_line"] = match.line
    message = rule.message
    if rule.code is FailureCode.INVALID_CONFIGURATION and thrown is not None:
        message = f"{rule.message} It said: {_first_line(thrown.message)}"
    if rule.code is FailureCode.INPUT_CORRUPT and evidence.preflight.get("digest_verified") is True:
        facts["digest_verified"] = True
    return _of(evidence, rule.code, rule.rule_id, message, **facts)


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:200]


def _told_by(thrown: Thrown | None, backend: str) -> dict[str, JsonValue]:
    if thrown is None:
        return {}
    return {
        "exception_type": thrown.type_name,
        "exception_message": thrown.message[:_TEXT_KEPT],
        "frame": sorter_frame(thrown, backend) or (thrown.frames[-1] if thrown.frames else ""),
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


def _by_plain_end(evidence: Evidence) -> Failure | None:
    """What a signal or exit code says by itself, whatever the log holds."""
    number = _signal_of(evidence)
    if number in _STOPS:
        return _of(
            evidence,
            FailureCode.ATTEMPT_INTERRUPTED,
            "exit.stopped",
            f"The sorter was stopped from outside ({_signal_name(number)}).",
        )
    row = BY_EXIT_CODE.get(evidence.exit_code or 0)
    if row is None or evidence.child_failure:
        return None
    log = last_lines(evidence.log_tail, _LOG_LINES_KEPT)
    return _of(evidence, row.code, "exit.table", row.meaning, log_tail=list(log))


def _by_exit(evidence: Evidence, thrown: Sequence[Thrown]) -> Failure:
    number = _signal_of(evidence)
    log: dict[str, Any] = {"log_tail": last_lines(evidence.log_tail, _LOG_LINES_KEPT)}
    if number:
        return _of(
            evidence,
            FailureCode.SORTER_CRASH,
            "exit.signal",
            f"The sorter's process was ended by {_signal_name(number)} without saying why.",
            **log,
        )
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
    log = last_lines(evidence.log_tail, _LOG_LINES_KEPT)
    if thrown:
        ended = thrown[0]
        mark = fingerprint(ended.type_name, ended.frames, ended.message)
        first = _first_line(ended.message)
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
