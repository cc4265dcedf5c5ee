"""docs/refusals.md, rendered from the table of reasons.

Write it with ``python -m spikefleet.infra.rpc.reasons_page docs/refusals.md``; a test holds the
committed page equal.
"""

from __future__ import annotations

import sys
from pathlib import Path

from spikefleet.infra.rpc.reasons import REASONS

_HEAD = """# Refusals

A call that is not carried out ends with one of these reasons: `ErrorInfo.reason` on the wire,
`ServiceError.reason` in Python, `reason` of the command line's JSON. A reason is part of the API
and keeps its meaning. *Again after* is what `RetryInfo` carries. This page is rendered from the
table in `infra/rpc/reasons.py`; do not edit it by hand. How sorts fail is another table:
[failures](failures.md).

| reason | gRPC code | what to do | again after |
| --- | --- | --- | --- |
"""


def render_reasons() -> str:
    """Return the page."""
    rows = []
    for name, row in sorted(REASONS.items()):
        again = "" if row.retry_after_s is None else f"{row.retry_after_s:g} s"
        rows.append(f"| `{name}` | `{row.code.name}` | {row.next_step} | {again} |")
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render_reasons(), encoding="utf-8")
