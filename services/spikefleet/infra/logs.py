"""How we log: constant event names with fields, as JSON at the edge or as a line for people."""

from __future__ import annotations

import io
import json
import logging
import sys
from datetime import UTC, datetime
from typing import IO

from spikefleet.core.visible_text import visible, visible_line

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What the caller passed as ``extra``."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: at, level, logger, event, then the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        document: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        document.update(_fields(record))
        if record.exc_info:
            document["trace"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str)


class TextFormatter(logging.Formatter):
    """A line for people: time, level, event, ``key=value`` fields; no value makes a second one."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        at = f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%SZ}"
        words = [at, record.levelname.lower().ljust(7), visible_line(record.getMessage())]
        words += [f"{key}={visible_line(str(value))}" for key, value in _fields(record).items()]
        line = " ".join(words)
        if not record.exc_info:
            return line
        return f"{line}\n{visible(self.formatException(record.exc_info))}"


def configure_logging(
    *, as_json: bool, level: str = "INFO", stream: IO[str] | io.TextIOBase | None = None
) -> logging.Handler:
    """Send every log record to ``stream`` (stderr) in one form; replaces earlier handlers.

    Returns the handler, so that a caller may remove it again.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    return handler
