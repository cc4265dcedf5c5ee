"""From the evidence of an attempt's end to one classified failure.

The first rung that answers wins: a guard's trip, a request to stop, the kernel's word on memory, a
failure the child classified itself, an exit code of ours or a signal to stop, then the rules
(exception type, sorter frame, text, log), then any other signal or exit code. Among the rules what
tells of the machine and its limits outranks what tells of the recording, wherever it was said. A
mistake of our own code is internal, never the recording's. What nothing matches is UNCLASSIFIED
with a fingerprint. Nothing is retried or decided here, and no foreign library is imported.
"""

from __future__ import annotations

import re
import signal as signals
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from spikefleet.core.failures.codes import (
    BY_CODE,
    BY_EXIT_CODE,
    FAILURES,
    FailureCategory,
    FailureCode,
    FailureRow,
)
from spikefleet.core.failures.errors import Failure
from spikefleet.core.failures.evidence import JsonValue
from spikefleet.core.failures.reading.exception_chain import Thrown, at_end_of, from_document
from spikefleet.core.failures.reading.fingerprint import fingerprint
from spikefleet.core.failures.reading.logs import (
    LogText,
    both_ends,
    last_lines,
    read_log,
    read_log_head,
    read_log_tail,
)
from spikefleet.core.failures.rules import cpu_sorters, gpu, host, kilosort2, kilosort4
from spikefleet.core.failures.rules.base import OUR_MISTAKE, Evidence, Rule
from spikefleet.core.failures.rules.matching import (
    Match,
    is_hard,
    match_exception,
    match_log,
    match_whole_log,
    sorter_frame,
)
from spikefleet.core.failures.rules.measured.refine import refine

__all__ = [
    "LOG_MARKS",
    "RULES",
    "Evidence",
    "LogText",
    "classify",
    "read_log",
    "read_log_head",
    "read_log_tail",
]

_LOG_LINES_KEPT = 50
_TEXT_KEPT = 500
_STOPS = frozenset({signals.SIGTERM, signals.SIGINT, signals.SIGHUP})
# Exceptions that only say that something else failed: the log may know what.
_OPAQUE = frozenset(
    {
        "BaseException",
        "BrokenProcessPool",
        "CalledProcessError",
        "ChildProcessError",
        "Exception",
        "ExceptionGroup",
        "MatlabExecutionError",
        "RuntimeError",
        "SpikeSortingError",
        "SubprocessError",
        "TerminatedWorkerError",
    }
)
_OPAQUE_TEXT = re.compile(r"(?i)non-?zero exit|exit(?:ed)?(?: with)? (?:code|status)")
_TRACE_LINES_KEPT = 60

RULES: tuple[Rule, ...] = tuple(
    sorted(
        (
            *gpu.RULES,
            *host.RULES,
            *kilosort4.RULES,
            *kilosort2.RULES,
            *cpu_sorters.RULES,
        ),
        key=lambda rule: (rule.source, rule.priority),
    )
)

LOG_MARKS: tuple[str, ...] = tuple(dict.fromkeys(mark for rule in RULES for mark in rule.marks))


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
    if evidence.oom_kill_delta:
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
    opaque = [each for each in thrown if _is_opaque(each)]
    explained = [each for each in thrown if each not in opaque]
    own = _own_class(evidence, step, explained)
    if own is not None:
        return own
    exception, match = _best_of(evidence, step, thrown)
    if match is not None and not _yields(match.rule):
        return _failure_of(match, evidence, exception)
    ours = next((each for each in explained[:1] if each.is_ours), None)
    is_known = ours is not None or (match is not None and exception not in opaque)
    logged = match_log(
        RULES,
        evidence,
        step,
        is_explained=bool(explained) and not is_known,
        only_hard=is_known,
    )
    if logged is not None:
        return _failure_of(logged, evidence, thrown[0] if thrown else None)
    if ours is not None:
        return _our_mistake(evidence, ours)
    if match is not None:
        return _failure_of(match, evidence, exception)
    if not explained and not _signal_of(evidence) and evidence.exit_code != 0:
        whole = match_whole_log(RULES, evidence, step)
        if whole is not None:
            return _failure_of(whole, evidence, thrown[0] if thrown else None)
    return None


def _is_opaque(thrown: Thrown) -> bool:
    name = thrown.type_name.rpartition(".")[2]
    return name in _OPAQUE or bool(_OPAQUE_TEXT.search(thrown.message))


def _yields(rule: Rule) -> bool:
    """Whether harder evidence in the log may contradict what an exception says."""
    return BY_CODE[rule.code].category in (FailureCategory.BIOLOGICAL, FailureCategory.INTERNAL)


def _best_of(
    evidence: Evidence, step: str, thrown: Sequence[Thrown]
) -> tuple[Thrown | None, Match | None]:
    """The exception of a chain that explains it, and the rule: the first hard one, else the first.

    Exceptions that only say that something failed come last.
    """
    ordered = sorted(thrown, key=_is_opaque)
    found = [
        (each, match)
        for each in ordered
        if (match := match_exception(RULES, evidence, step, each)) is not None
    ]
    hard = next(((each, match) for each, match in found if is_hard(match.rule)), None)
    return hard or (found[0] if found else (None, None))


def _own_class(evidence: Evidence, step: str, explained: Sequence[Thrown]) -> Failure | None:
    """A failure of the table by its printed name, unless something before it explains the end."""
    for exception in explained:
        own = _own_row(exception)
        if own is not None:
            message = _first_line(exception.message) or own.meaning
            return _of(evidence, own.code, "log.own_class", message)
        if exception.is_ours or match_exception(RULES, evidence, step, exception):
            break
    return None


def _our_mistake(evidence: Evidence, thrown: Thrown) -> Failure:
    """A mistake of our own code: internal, whatever the recording is like, with its trace kept."""
    mark = fingerprint(thrown.type_name, thrown.frames, thrown.message)
    name, where = thrown.type_name.rpartition(".")[2], thrown.frames[-1]
    trace = (evidence.child_failure or {}).get("trace_tail")
    kept = [str(line) for line in trace] if isinstance(trace, list) else []
    return _of(
        evidence,
        FailureCode.UNCLASSIFIED,
        OUR_MISTAKE,
        f"spikefleet itself made a mistake ({name} in {where}): {_first_line(thrown.message)}",
        fingerprint=mark,
        **_told_by(thrown, evidence.backend),
        trace_tail=list(kept[-_TRACE_LINES_KEPT:]),
        log_tail=list(last_lines(evidence.log_tail, _LOG_LINES_KEPT)),
    )


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
    if library := match.found.get("library"):
        message = f"{message.removesuffix('.')}: {library}."
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
        "exception_message": both_ends(thrown.message, _TEXT_KEPT),
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
    log: dict[str, Any] = {
        "log_tail": last_lines(evidence.log_tail, _LOG_LINES_KEPT),
        "log_unread_bytes": evidence.log_unread_bytes or None,
    }
    if number:
        return _of(
            evidence,
            FailureCode.SORTER_CRASH,
            "exit.signal",
            f"The sorter's process was ended by {_signal_name(number)}{_who_killed(evidence)}.",
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


def _who_killed(evidence: Evidence) -> str:
    """What is known of a death by signal: the kernel, out of memory, is only one who kills."""
    if _signal_of(evidence) != signals.SIGKILL:
        return " without saying why"
    if evidence.oom_kill_delta is None:
        return " from outside; whether for memory, the kernel does not tell here"
    return " from outside; the kernel counted no kill for memory"


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
        log_unread_bytes=evidence.log_unread_bytes or None,
    )
