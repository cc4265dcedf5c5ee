"""The service's log of what happens to runs: one line for every event of their history.

Written from the records, so nothing is told that was not committed, and nothing twice; what
happened while no service ran is not told again.
"""

from __future__ import annotations

import logging
from typing import Any

from spikefleet.core.runs import RunEvent
from spikefleet.infra.stores.sql.runs import RunStore

log = logging.getLogger(__name__)

_TROUBLE = (
    "decision.",
    "attempt.failed",
    "hold.put",
    "sort.damaged",
    "report.failed",
    "curation.unreported",
)
_FIELDS = (
    "batch_id",
    "recording_id",
    "stage",
    "lane",
    "status",
    "code",
    "rule_id",
    "reason",
    "delay_s",
)


class EventLog:
    """Tells every event after those that stood in the records when it was made."""

    def __init__(self, runs: RunStore) -> None:
        self._runs = runs
        self._seq = runs.last_seq()

    def __call__(self) -> None:
        """Tell what happened since the last call."""
        for event in self._runs.events(after_seq=self._seq):
            self._seq = event.seq
            level = logging.WARNING if event.kind.startswith(_TROUBLE) else logging.INFO
            log.log(level, event.kind, extra=_told(event))


def _told(event: RunEvent) -> dict[str, Any]:
    """Ids, states, and of the body what a line has room for."""
    moved = {"from_state": event.from_state, "to_state": event.to_state}
    body = {name: event.body[name] for name in _FIELDS if event.body.get(name)}
    attempt = event.body.get("name") or event.body.get("number") or event.body.get("attempt")
    told = {"run_id": event.run_id, **moved, "attempt": attempt, **body}
    return {name: value for name, value in told.items() if value}
