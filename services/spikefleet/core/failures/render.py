"""docs/failures.md, rendered from the failure table and the classifier's rules.

Write it with ``python -m spikefleet.core.failures.render docs/failures.md``; a test holds the
committed page equal.
"""

from __future__ import annotations

import sys
from pathlib import Path

from spikefleet.core.failures.classify import RULES
from spikefleet.core.failures.codes import FAILURES, FailureRow
from spikefleet.core.failures.rules_base import Rule
from spikefleet.core.failures.vocabulary import FailureCategory

_HEAD = """# Failures

Every attempt that does not succeed ends in one row of this table, with the measured evidence and
the name of the rule, guard or check that decided. The code is stable: it is the exit code of the
runner, the value of the proto enum and the label of the metrics. This page is rendered from the
table in `core/failures/codes.py`; do not edit it by hand.

The *first answer* is what happens without looking at history. Every cause has its own budget of
retries, counted over the whole run; once it is spent the run ends (or is held, where a person must
act). A retry that can change spikes is stamped, and taken only with leave.
"""

_CATEGORIES = {
    FailureCategory.BIOLOGICAL: "The tissue or the array: the run ends as unsortable.",
    FailureCategory.INPUT: "The submitted files: the run ends and the submitter is told.",
    FailureCategory.ENVIRONMENT: "The facility: the lane is held, no retry is spent.",
    FailureCategory.RESOURCE: "Too little of something: another try with a change.",
    FailureCategory.INTERNAL: "Ours to mend: one more try, then the run fails.",
    FailureCategory.INFRASTRUCTURE: "The machine went away: the same again, on its own budget.",
}

_RULES_HEAD = """
## How a failure is recognised

The first that answers wins: the trip of a guard, a request to stop, the kernel's own count of
processes killed for memory, a failure the sorter's process classified itself, then the rules below
(the exception's type, the innermost function of the sorter, the text, the end of the log), then the
signal or exit code. A sorter that found nothing is looked at again with the measurements of the
recording: flat, saturated, wrong units, thresholds, or truly quiet. What nothing matches is
`unclassified`, with a fingerprint that is the same whenever the same thing happens.

| rule | looks at | sorter | code | example |
| --- | --- | --- | --- | --- |
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _row(row: FailureRow) -> str:
    number = str(row.exit_code) if row.exit_code is not None else f"({row.number})"
    cells = (
        number,
        f"`{row.code}`",
        f"`{row.class_name}`",
        f"`{row.disposition}`",
        f"`{row.status}`",
        row.meaning,
        row.next_step,
    )
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


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
        lines.append("| exit | code | class | first answer | status | meaning | next step |")
        lines.append("| --- | --- | --- | --- | --- | --- | --- |")
        lines += [_row(row) for row in FAILURES if row.category is category]
        lines.append("")
    lines.append("Numbers in brackets are no exit codes: only an observer outside can see them.")
    return "\n".join(lines) + "\n" + _RULES_HEAD + "\n".join(_rule(rule) for rule in RULES) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render_failures(), encoding="utf-8")
