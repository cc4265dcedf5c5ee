"""What a doubt about a recording is. Plain data, importable where no science is installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class TruthLevel(StrEnum):
    """How bad a finding is: good to know, look at it, or do not sort it like this."""

    NOTE = "note"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class TruthFinding:
    """One doubt about a recording.

    ``where`` holds the place and the numbers, ready for JSON: frames count from 0, times are in s.
    """

    code: str
    level: TruthLevel
    message: str
    remediation: str
    where: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {
            "code": self.code,
            "level": str(self.level),
            "message": self.message,
            "remediation": self.remediation,
            "where": dict(self.where),
        }
