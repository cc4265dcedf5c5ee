"""One thing noticed about a recording or a machine, and how one is made.

The same value goes from the reader to the report. Category and remedy come from the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from spikefleet.core.failures.codes import FailureCategory
from spikefleet.core.failures.errors import (
    InvalidConfigurationError,
    ResourceSortFailure,
    SpikeSortingClassifiedError,
)
from spikefleet.core.findings.catalogue import row_of


class FindingLevel(StrEnum):
    """How bad a finding is: good to know, look at it, or do not sort it like this."""

    NOTE = "note"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One thing that was noticed.

    ``evidence`` holds the place and the numbers, ready for JSON: frames count from 0, times are in
    s. ``error`` is the failure it means, set exactly when it fails where it was found; it stays in
    the process.
    """

    code: str
    level: FindingLevel
    message: str
    remediation: str
    category: FailureCategory
    evidence: Mapping[str, Any] = field(default_factory=dict)
    error: SpikeSortingClassifiedError | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary without ``error``; ``from_json`` reads it back."""
        return {
            "level": str(self.level),
            "code": self.code,
            "message": self.message,
            "remediation": self.remediation,
            "category": str(self.category),
            "evidence": dict(self.evidence),
        }

    def of_part(self, recording: str) -> Finding:
        """Return the finding as one of a recording among several that are joined."""
        message = f"{recording}: {self.message}"
        evidence = {**self.evidence, "recording": recording}
        error = self.error and type(self.error)(message, **evidence)
        return replace(self, message=message, evidence=evidence, error=error)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Finding:
        """Read what ``to_json`` wrote. Raises KeyError or ValueError for anything else."""
        return cls(
            str(document["code"]),
            FindingLevel(document["level"]),
            str(document["message"]),
            str(document["remediation"]),
            FailureCategory(document["category"]),
            dict(document.get("evidence") or {}),
        )


def note(code: str, message: str, **evidence: Any) -> Finding:
    """Make a finding that is good to know. Raises ValueError: the code is never a note."""
    return _made(FindingLevel.NOTE, code, message, evidence=evidence)


def warn(code: str, message: str, remediation: str = "", **evidence: Any) -> Finding:
    """Make a finding that lets the run continue; the catalogue's remedy unless another is given.

    Raises:
        ValueError: the catalogue has no such code, or the code never warns.
    """
    return _made(FindingLevel.WARN, code, message, remediation, evidence)


def fail(code: str, error: SpikeSortingClassifiedError, remediation: str = "") -> Finding:
    """Make a finding that ends the run, in the failure's words and of its category.

    The remedy is the given one, else the failure's own, else the catalogue's.

    Raises:
        ValueError: the catalogue has no such code, or the code never fails.
    """
    step = remediation or str(error.evidence.get("next_step") or "")
    made = _made(FindingLevel.FAIL, code, error.message, step, dict(error.evidence))
    return replace(made, category=error.category, error=error)


def _made(
    level: FindingLevel,
    code: str,
    message: str,
    remediation: str = "",
    evidence: Mapping[str, Any] | None = None,
) -> Finding:
    row = row_of(code)
    if level not in row.levels.split(", "):
        raise ValueError(f"the finding {code!r} is never of level {level}")
    remedy = remediation or row.remediation
    return Finding(code, level, message, remedy, row.category, evidence or {})


def as_failing(finding: Finding) -> Finding:
    """Return the finding as strict mode sees it: a warning fails.

    To be strict is one submission's wish, and so are the limits it sets: whatever it finds ends
    that run, and never holds the lane of all others.
    """
    if finding.level is not FindingLevel.WARN:
        return finding
    of_resources = finding.category is FailureCategory.RESOURCE
    cls = ResourceSortFailure if of_resources else InvalidConfigurationError
    error = cls(f"{finding.message} Warnings are failures here.", finding=finding.code)
    return replace(finding, level=FindingLevel.FAIL, error=error)


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Order by level; the order within a level stays."""
    order = tuple(reversed(FindingLevel))
    return tuple(sorted(findings, key=lambda finding: order.index(finding.level)))
