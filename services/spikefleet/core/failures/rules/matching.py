"""Trying rules on exceptions and logs. Says which rule fits where; decides nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from spikefleet.core.failures.codes import BY_CODE, FailureCategory, FailureCode
from spikefleet.core.failures.evidence import JsonValue
from spikefleet.core.failures.reading.exception_chain import Thrown
from spikefleet.core.failures.reading.logs import lines_with, start_of_last_lines
from spikefleet.core.failures.rules.base import Evidence, Rule, Source, extract
from spikefleet.core.sorters.catalogue import backend_of

_LINE_KEPT = 400
_BLAMES = frozenset({FailureCategory.ENVIRONMENT, FailureCategory.RESOURCE})
# Words of a line that tells of a trouble the program expected, or got over.
_EXPECTED = re.compile(
    r"(?i)\bwarn|\bdebug\b|\binfo\b|\bretry|\bretri|\bignor|\bskipp|\bf[ae]ll(?:ing|s)? ?back|"
    r"\bhandled\b|\bcaught\b|\brecover|\bavoid|\bprevent|\bin case of\b|\bwould\b|\bcould\b|\bif\b"
)
_GOT_OVER = re.compile(
    r"(?i)\bretry|\bretri|\bignor|\bskipp|\bf[ae]ll(?:ing|s)? ?back|\bhandled\b|\bcontinuing\b|"
    r"\brecovered\b|\binstead\b"
)


@dataclass(frozen=True)
class Match:
    """A rule that fits, with what it took out of the text; ``line`` for LOG rules."""

    rule: Rule
    found: Mapping[str, JsonValue] = field(default_factory=dict)
    line: str = ""


def sorter_frame(thrown: Thrown, backend: str) -> str:
    """Return the innermost frame inside the sorter, or ""."""
    return thrown.innermost(backend_of(backend).packages)


def is_hard(rule: Rule) -> bool:
    """Whether a rule tells of the machine or its limits plainly enough to outrank biology."""
    category = BY_CODE[rule.code].category
    return (
        category in _BLAMES
        and rule.code is not FailureCode.INVALID_CONFIGURATION
        and not rule.only_at_the_end
    )


def match_exception(
    rules: Sequence[Rule], evidence: Evidence, step: str, thrown: Thrown
) -> Match | None:
    """Return the rule that fits an exception: a hard one first, then by type, frame and text.

    Of an exception of our own making (``Thrown.is_ours``) only hard rules may speak.
    """
    first: Match | None = None
    for rule in rules:
        if rule.source is Source.LOG or not _applies(rule, evidence, step):
            continue
        found = _fits(rule, thrown, evidence.backend)
        if found is None:
            continue
        if is_hard(rule):
            return Match(rule, found)
        if first is None and not thrown.is_ours:
            first = Match(rule, found)
    return first


def match_log(
    rules: Sequence[Rule],
    evidence: Evidence,
    step: str,
    *,
    is_explained: bool = False,
    only_hard: bool = False,
) -> Match | None:
    """Return the LOG rule that explains the end: a hard one first, of these the last line's.

    ``is_explained``: an exception is known, so only rules that may speak beside one do, or, with
    ``only_hard``, those that outrank biology. A line that tells of a trouble the program got over
    blames neither machine nor limits.
    """
    log = evidence.log_tail
    best: dict[bool, tuple[int, Match]] = {}
    starts = {0: 0}
    for rule in rules:
        if rule.source is not Source.LOG or not _applies(rule, evidence, step):
            continue
        hard = is_hard(rule)
        if (only_hard and not hard) or (is_explained and not rule.beside_exception):
            continue
        if rule.last_lines not in starts:
            starts[rule.last_lines] = start_of_last_lines(log, rule.last_lines)
        first = starts[rule.last_lines]
        if hard in best:
            first = max(first, best[hard][0] + 1)
        hit = _last_line(rule, log, first)
        if hit is not None:
            best[hard] = hit
    chosen = best.get(True) or best.get(False)
    return chosen[1] if chosen else None


def match_whole_log(rules: Sequence[Rule], evidence: Evidence, step: str) -> Match | None:
    """Return the LOG rule whose line is the last one in all that was read of the log.

    For ends that nothing else explains: a line is believed however far from the end it stands.
    """
    parts = (evidence.log_tail, evidence.log_scan, evidence.log_head)
    anywhere = [replace(rule, last_lines=0) for rule in rules if rule.source is Source.LOG]
    for part in parts:
        found = match_log(anywhere, replace(evidence, log_tail=part), step) if part else None
        if found is not None:
            return found
    return None


def _last_line(rule: Rule, log: str, first: int) -> tuple[int, Match] | None:
    best: tuple[int, Match] | None = None
    blames = BY_CODE[rule.code].category in _BLAMES
    for mark in rule.marks:
        for line in lines_with(log, mark):
            if line.start < (first if best is None else best[0] + 1):
                break
            found = _regex(rule.pattern).search(line.text)
            if not found or (rule.unless and _regex(rule.unless).search(line.text)):
                continue
            before, after = line.text[: found.start()], line.text[found.end() :]
            if blames and _ends_a_traceback(log, line.start):
                continue  # at the log's end it is known as an exception; elsewhere it was handled
            if blames and (_EXPECTED.search(before) or _GOT_OVER.search(after)):
                continue
            told = Match(rule, extract(found.groupdict()), line.text.strip()[:_LINE_KEPT])
            best = (line.start, told)
            break
    return best


def _ends_a_traceback(log: str, start: int) -> bool:
    """Whether the line before is a traceback's source line or frame."""
    before = log.rfind("\n", 0, max(0, start - 1)) + 1
    return log.startswith("    ", before, start) or log.startswith('  File "', before, start)


def _applies(rule: Rule, evidence: Evidence, step: str) -> bool:
    return (not rule.sorter or evidence.backend in rule.sorter) and (
        not rule.step or rule.step == step
    )


def _fits(rule: Rule, thrown: Thrown, backend: str) -> dict[str, JsonValue] | None:
    """Return the rule's extracts when every condition it sets holds, else None."""
    if rule.errno and thrown.errno not in rule.errno:
        return None
    if rule.exception and not _regex(rule.exception).search(thrown.type_name):
        return None
    if rule.frame and not _regex(rule.frame).search(sorter_frame(thrown, backend)):
        return None
    if rule.unless and _regex(rule.unless).search(thrown.message):
        return None
    if not rule.pattern:
        return {}
    found = _regex(rule.pattern).search(thrown.message)
    return extract(found.groupdict()) if found else None


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
