"""docs/failures.md and the comments of the proto enum, rendered from the failure table.

A test holds the committed files equal.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import fields

from spikefleet.core.failures.classify import RULES
from spikefleet.core.failures.codes import FAILURES, FailureRow
from spikefleet.core.failures.evidence import FailureEvidence
from spikefleet.core.failures.reading.cluster_reasons import REASONS, OutsideReason
from spikefleet.core.failures.rules.base import Rule
from spikefleet.core.failures.vocabulary import Disposition, FailureCategory

_HEAD = """# Failures

Every attempt that does not succeed ends in one row of this table, with the measured evidence and
the name of the rule, guard or check that decided. The code is stable: it is the exit code of the
runner, the value of the proto enum and the label of the metrics. This page is rendered from the
table in `core/failures/codes.py`; do not edit it by hand.

*Evidence* names what is kept with the failure, where it is known; [below](#what-the-evidence-says)
every name is explained, also those that every failure may carry (the sorter, the step, the
exception's type, text and frame, ...). *What spikefleet does* is the first answer, without
looking at history. Every cause has its own budget of retries, counted over the whole run; once it
is spent the run ends (or is held, where a person must act). A retry that can change spikes is
stamped. Steps of a sorter's parameter ladder are taken only with the submitter's leave,
`execution.allow_result_affecting`; smaller batches after GPU memory ran out need only
`execution.oom_retry_max`, 1 by default.
"""

_CATEGORIES = {
    FailureCategory.BIOLOGICAL: "The tissue or the array: the run ends as unsortable.",
    FailureCategory.INPUT: "The submitted files: the run ends and the submitter is informed.",
    FailureCategory.ENVIRONMENT: "The facility: the lane is held, no retry is spent.",
    FailureCategory.RESOURCE: "Too little of something: another try with a change.",
    FailureCategory.INTERNAL: "Ours to repair: one more try, then the run fails.",
    FailureCategory.INFRASTRUCTURE: "The machine went away: the same again, on its own budget.",
}

_COLUMNS = (
    "exit",
    "code",
    "class",
    "meaning",
    "evidence",
    "what spikefleet does",
    "what the operator does",
)
_ANSWERS = {
    Disposition.SKIP: "ends the run with this outcome and continues with the others",
    Disposition.RETRY_SAME: "tries again unchanged",
    Disposition.RETRY_SCALED: "tries again with the ladder's next step, or more of what ran out",
    Disposition.RETRY_ELSEWHERE: "tries again on another machine",
    Disposition.HOLD: "holds this lane and its runs for the operator; other lanes continue",
    Disposition.REQUEUE: "puts the run back in the queue, as if it had not been tried",
    Disposition.FAIL: "ends the run as failed",
}

_RULES_HEAD = """
## How a failure is recognised

The first that answers wins: the trip of a guard, a request to stop, the kernel's own count of
processes killed for memory, a failure the sorter's process classified itself, an exit code of ours
or a signal to stop, then the rules below (the exception's type, the innermost function of the
sorter, the text, the end of the log), then any other signal or exit code. From outside, a complete
result and the kernel's word come before what the attempt said, and a cluster's reason before an
attempt that could not name its failure.

What plainly tells of the machine or its limits (memory, disk, GPU, licence, a missing library or
plugin) outranks what tells of the recording, whether an exception, one of its causes or the log
said it. An exception that only says that something failed ("non-zero exit code: 1") hides no line
of the log. A mistake of spikefleet's own code is `unclassified` with rule `ours.mistake`, its trace
kept: no measurement turns it into the recording's fault. A process that was killed ran out of
memory only where the kernel counted or wrote so.

Of a log the first 32 KiB and the last 256 KiB are read, and 32 MB between them are searched for the
lines that rules know; `log_unread_bytes` in the evidence says how much was beyond. The last line
that explains the end wins; one far from the end only where nothing else explains it. A line or
traceback of an error that the program got over blames nobody. What nothing matches is
`unclassified`, with a fingerprint that is the same whenever the same thing happens.

A sorter that found nothing says the same for many reasons. The measurements of the recording and
the run's settings tell them apart, in this order: not numbers, digital zero, saturated, flat, wrong
units, only the converter's last bits, all electrodes at one place, channels excluded, no more than
noise, a threshold, spikes that never stand alone, a quiet moment where the sorter learns. What
nothing matches is put down to the recording too, where its signal alone is proven unfit.

| rule | looks at | sorter | code | example |
| --- | --- | --- | --- | --- |
"""

_EVIDENCE_HEAD = """
## What the evidence says

A name that is not known in a case is left out; for a client of the exceptions it is None. Every
failure may carry:

| name | says |
| --- | --- |"""

_REASONS_HEAD = """
## What a cluster says

| reason | code | meaning |
| --- | --- | --- |
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _row(row: FailureRow) -> str:
    number = str(row.exit_code) if row.exit_code is not None else f"({row.number})"
    cells = (
        number,
        f"`{row.code}`",
        f"`{row.class_name}`",
        row.meaning,
        _evidence(row),
        f"{_ANSWERS[row.disposition]} (`{row.disposition}`, `{row.status}`)",
        row.next_step,
    )
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _evidence(row: FailureRow) -> str:
    return ", ".join(row.evidence.own_names())


def _names(cls: type[FailureEvidence], names: Iterable[str]) -> list[str]:
    says = {entry.name: entry.metadata.get("says", "") for entry in fields(cls)}
    return [f"| `{name}` | {_cell(says[name])} |" for name in names]


def _evidence_pages() -> list[str]:
    """Every name of the evidence with its meaning: the common ones, then row by row."""
    common = [entry.name for entry in fields(FailureEvidence) if entry.metadata]
    lines = [_EVIDENCE_HEAD, *_names(FailureEvidence, common)]
    for row in FAILURES:
        lines += ["", f"### `{row.code}`", "", "| name | says |", "| --- | --- |"]
        lines += _names(row.evidence, row.evidence.own_names())
    return lines


def enum_comment(row: FailureRow) -> str:
    """The comment of a row's value in the proto enum, as it stands there."""
    told = f"{row.meaning} Evidence: {_evidence(row)}."
    return textwrap.fill(told, width=100, initial_indent="  // ", subsequent_indent="  // ")


def render_proto(text: str) -> str:
    """Return failure.proto with the comments of the enum's values as the table has them."""
    for row in FAILURES:
        value = f"  FAILURE_CODE_{row.code.name} = {row.number};"
        text = re.sub(rf"(?:  //[^\n]*\n)+(?={re.escape(value)})", enum_comment(row) + "\n", text)
    return text


def _reason(row: OutsideReason) -> str:
    words = ", ".join(f"`{word}`" for word in row.words)
    shown = f"{words}, its message naming {row.names}" if row.holds else words
    return f"| {shown} | `{row.code}` | {row.message} |"


def _rule(rule: Rule) -> str:
    sorters = ", ".join(rule.sorter) or "all"
    example = rule.example.strip() or rule.example_type
    shown = example if len(example) <= 90 else f"{example[:87]}..."
    cells = (
        f"`{rule.rule_id}`",
        rule.source.name.lower(),
        sorters,
        f"`{rule.code}`",
        f"`` {shown} ``",
    )
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def render_failures() -> str:
    """Return docs/failures.md."""
    lines = [_HEAD]
    for category, meaning in _CATEGORIES.items():
        lines += [f"## {category}", "", meaning, ""]
        lines += [f"| {' | '.join(_COLUMNS)} |", "| --- " * len(_COLUMNS) + "|"]
        lines += [_row(row) for row in FAILURES if row.category is category]
        lines.append("")
    lines.append("Numbers in brackets are no exit codes: only an observer outside can see them.")
    rules = "\n".join(_rule(rule) for rule in RULES)
    reasons = "\n".join(_reason(row) for row in REASONS)
    evidence = "\n".join(_evidence_pages())
    head = "\n".join(lines)
    return f"{head}\n{_RULES_HEAD}{rules}\n{_REASONS_HEAD}{reasons}\n{evidence}\n"
