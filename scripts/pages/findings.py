"""docs/preflight.md, rendered from the catalogue of findings.

A test holds the committed page equal.
"""

from __future__ import annotations

from spikefleet.core.findings.catalogue import FINDINGS, FindingPlace, FindingRow

_HEAD = """# Preflight

Before a sorter starts, the service opens the recording, measures a bounded sample of the signal,
and projects what the sort will need. The machine that sorts then looks at itself. Whatever is
noticed is a finding: a level, a stable code, one sentence with the measured numbers, a remedy and a
category. *note* is for `spikefleet inspect` alone; *warn* lets the run continue and is in the
report; *fail* ends the run with the failure named in [failures.md](failures.md), under the rule
`preflight.<code>`. With
`execution.preflight_strict` every warning fails; with `execution.preflight` off the signal is not
measured and nothing warns, but a recording that cannot be opened still ends here. A finding about
one recording never stops another.

This page is rendered from `core/findings/catalogue.py`; do not edit it by hand.
"""

_PLACES = {
    FindingPlace.RECORDING: (
        "Of the recording",
        "Made by the service, from the files, the signal and the configuration.",
    ),
    FindingPlace.SERVICE: ("Of the service's machine", "Made where the service keeps its files."),
    FindingPlace.BOTH: (
        "Of either machine",
        "Made by the service and again on the machine that sorts, each of itself.",
    ),
    FindingPlace.NODE: ("Of the machine that sorts", "Made there, before the sorter starts."),
}


def _row(row: FindingRow) -> str:
    cells = (f"`{row.code}`", row.levels, f"`{row.category}`", row.trigger, row.remediation)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def render_findings() -> str:
    """Return docs/preflight.md."""
    lines = [_HEAD]
    for place, (title, sentence) in _PLACES.items():
        lines += [f"## {title}", "", sentence, ""]
        lines += ["| code | level | category | when | remedy |", "| --- | --- | --- | --- | --- |"]
        lines += [_row(row) for row in FINDINGS if row.place is place]
        lines.append("")
    return "\n".join(lines)
