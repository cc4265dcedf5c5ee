"""Trying rules on exceptions and logs. Says which rule fits where; decides nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from spikefleet.core.failures.codes import BY_CODE, FailureCategory
from spikefleet.core.failures.errors import JsonValue
from spikefleet.core.failures.reading import lines_with, start_of_last_lines
from spikefleet.core.failures.rules_base import Evidence, Rule, Source, extract
from spikefleet.core.failures.thrown import Thrown

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

_SORTING_COMPONENTS = (
    "spikeinterface/sorters/internal/",
    "spikeinterface/sortingcomponents/",
)
_PACKAGES: Mapping[str, tuple[str, ...]] = {
    "kilosort4": ("kilosort/",),
    "mountainsort5": ("mountainsort5/", "isosplit6/", *_SORTING_COMPONENTS),
}


@dataclass(frozen=True)
class Match:
    """A rule that fits, with what it took out of the text; ``line`` for LOG rules."""

    rule: Rule
    found: Mapping[str, JsonValue] = field(default_factory=dict)
    line: str = ""


def sorter_frame(thrown: Thrown, backend: str) -> str:
    """Return the innermost frame inside the sorter, or ""."""
    return thrown.innermost(_PACKAGES.get(backend, _SORTING_COMPONENTS))


def match_exception(
    rules: Sequence[Rule], evidence: Evidence, step: str, thrown: Thrown
) -> Match | None:
    """Return the first rule that fits an exception: by type, then frame, then text."""
    for rule in rules:
        if rule.source is Source.LOG or not _applies(rule, evidence, step):
            continue
        found = _fits(rule, thrown, evidence.backend)
        if found is not None:
            return Match(rule, found)
    return None


def match_log(
    rules: Sequence[Rule], evidence: Evidence, step: str, *, is_explained: bool
) -> Match | None:
    """Return the LOG rule whose line comes last; of two on one line the one tried first.

    ``is_explained``: an exception is known, so only rules that may speak beside one do. A line that
    tells of a trouble the program got over blames neither machine nor limits.
    """
    log = evidence.log_tail
    best: tuple[int, Match] | None = None
    starts = {0: 0}
    for rule in rules:
        if rule.source is not Source.LOG or not _applies(rule, evidence, step):
            continue
        if is_explained and not rule.beside_exception:
            continue
        if rule.last_lines not in starts:
            starts[rule.last_lines] = start_of_last_lines(log, rule.last_lines)
        first = starts[rule.last_lines]
        if best is not None:
            first = max(first, best[0] + 1)
        hit = _last_line(rule, log, first)
        if hit is not None:
            best = hit
    return best[1] if best else None


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
    return (
        (not rule.sorter or evidence.backend in rule.sorter)
        and (not rule.step or rule.step == step)
        and (not rule.exit_code or evidence.exit_code in rule.exit_code)
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
