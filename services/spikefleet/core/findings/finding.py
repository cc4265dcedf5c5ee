"""One thing preflight noticed, and how one is made. Words and category come from the catalogue."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    """How bad a finding is."""

    FAIL = "fail"
    WARN = "warn"


@dataclass(frozen=True)
class PreflightFinding:
    """One thing preflight noticed. ``error`` is the failure it means, set exactly when it fails."""

    level: FindingLevel
    code: str
    message: str
    remediation: str
    category: FailureCategory
    error: SpikeSortingClassifiedError | None = None

    def to_json(self) -> dict[str, Any]:
        """Return level, code, message, remediation and category as text."""
        return {
            "level": str(self.level),
            "code": self.code,
            "message": self.message,
            "remediation": self.remediation,
            "category": str(self.category),
        }


def warn(code: str, message: str, remediation: str = "") -> PreflightFinding:
    """Make a finding that lets the run go on; the catalogue's remedy unless another is given.

    Raises:
        ValueError: the catalogue has no such code, or the code never warns.
    """
    row = row_of(code)
    if not row.warns:
        raise ValueError(f"the finding {code!r} always fails")
    return PreflightFinding(
        FindingLevel.WARN, code, message, remediation or row.remediation, row.category
    )


def fail(code: str, error: SpikeSortingClassifiedError) -> PreflightFinding:
    """Make a finding that ends the run; words and category are the failure's own.

    Raises:
        ValueError: the catalogue has no such code, or the code only warns.
    """
    row = row_of(code)
    if not row.fails:
        raise ValueError(f"the finding {code!r} only warns")
    step = str(error.evidence.get("next_step") or error.row.next_step)
    return PreflightFinding(FindingLevel.FAIL, code, error.message, step, error.category, error)


def as_failing(finding: PreflightFinding) -> PreflightFinding:
    """Return the finding as strict mode sees it: a warning fails.

    To be strict is one submission's wish, and so are the limits it sets: whatever it finds ends
    that run, and never holds the lane of all others.
    """
    if finding.level is FindingLevel.FAIL:
        return finding
    of_resources = finding.category is FailureCategory.RESOURCE
    cls = ResourceSortFailure if of_resources else InvalidConfigurationError
    error = cls(f"{finding.message} Warnings are failures here.", finding=finding.code)
    return replace(finding, level=FindingLevel.FAIL, error=error)
