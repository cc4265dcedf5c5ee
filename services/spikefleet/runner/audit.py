"""What guards said and what was done about it, one JSON line each, kept with the attempt's logs.

Lines are appended as things happen, so that they survive the parent. A disk that takes no line is
logged once: the audit must never disturb the sort.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from spikefleet.runner.guards.loop import GuardEvent

_log = logging.getLogger(__name__)


class AuditTrail:
    """Appends events to ``path``. Never raises."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._has_complained = False

    def keep(self, event: GuardEvent) -> None:
        """Append what a guard said: ``warn``, ``abort``, ``blind`` or ``sight``."""
        self.note(event.guard, event.event, message=event.message, values=dict(event.values))

    def note(self, watchdog: str, event: str, **facts: Any) -> None:
        """Append an event of ``watchdog``; ``supervisor`` is the parent itself."""
        document = {
            "timestamp": datetime.now(UTC).isoformat(),
            "watchdog": watchdog,
            "event": event,
            **facts,
        }
        try:
            with self._path.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(document, default=str) + "\n")
        except OSError as error:
            if not self._has_complained:
                self._has_complained = True
                _log.warning("audit.not_written", extra={"error": str(error)})
