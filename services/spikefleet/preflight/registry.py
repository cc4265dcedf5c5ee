"""What a check is, how it is registered, and what the findings mean for the run.

A check reads ``Facts`` and returns a Finding or None; it opens nothing and raises nothing. Checks
run in the order of their registration. The first finding that carries a failure decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from spikefleet.core.backends.catalogue import BackendInfo
from spikefleet.core.failures.codes import FailureCategory
from spikefleet.core.failures.errors import (
    EnvironmentSortFailure,
    Failure,
    InvalidConfigurationError,
    ResourceSortFailure,
    SpikeSortingClassifiedError,
)
from spikefleet.core.recordings.measurements import SignalMeasurements
from spikefleet.core.recordings.truth_findings import TruthFinding


class FindingLevel(StrEnum):
    """How bad a finding is."""

    FAIL = "fail"
    WARN = "warn"


@dataclass(frozen=True)
class Finding:
    """One thing preflight noticed. ``error`` is the failure it means, set exactly when it fails."""

    level: FindingLevel
    code: str
    message: str
    remediation: str
    category: FailureCategory
    error: SpikeSortingClassifiedError | None = None


@dataclass(frozen=True)
class HostFacts:
    """The machine the sort will use. None means that it could not be read."""

    free_scratch_bytes: int | None = None
    free_results_bytes: int | None = None
    available_memory_bytes: int | None = None


@dataclass(frozen=True)
class Facts:
    """Everything checks may look at.

    ``read_error`` is what opening or measuring raised, ``verdict`` what the signal proves.
    ``truth`` are the doubts about what the file says of itself.
    ``kept_s`` is the length left by the configured windows, ``pending_changes`` the settings that
    were changed although they have no effect yet.
    """

    backend: BackendInfo
    host: HostFacts = field(default_factory=HostFacts)
    execution: Mapping[str, Any] = field(default_factory=dict)
    measured: SignalMeasurements | None = None
    verdict: SpikeSortingClassifiedError | None = None
    read_error: SpikeSortingClassifiedError | None = None
    kept_s: float | None = None
    sampling_rate_hz: float | None = None
    channel_count: int | None = None
    truth: tuple[TruthFinding, ...] = ()
    pending_changes: tuple[str, ...] = ()


_STRICT_ERRORS: Mapping[FailureCategory, type[SpikeSortingClassifiedError]] = {
    FailureCategory.RESOURCE: ResourceSortFailure,
    FailureCategory.ENVIRONMENT: EnvironmentSortFailure,
}
Check = Callable[[Facts], Finding | None]
_CHECKS: dict[str, Check] = {}


def check(code: str) -> Callable[[Check], Check]:
    """Register a check under the code of its finding. Raises ValueError for a code taken twice."""

    def register(function: Check) -> Check:
        if code in _CHECKS:
            raise ValueError(f"two checks are registered as {code!r}")
        _CHECKS[code] = function
        return function

    return register


def check_codes() -> tuple[str, ...]:
    """Codes of all registered checks, in order."""
    return tuple(_CHECKS)


def run_checks(facts: Facts, *, strict: bool = False) -> tuple[Finding, ...]:
    """Run every check; worst findings first, otherwise in order. ``strict`` makes warnings fail."""
    found = [finding for run in _CHECKS.values() if (finding := run(facts)) is not None]
    if strict:
        found = [_as_failing(finding) for finding in found]
    return tuple(sorted(found, key=lambda finding: finding.level is not FindingLevel.FAIL))


def decide(findings: Iterable[Finding]) -> Failure | None:
    """Return the failure of the first failing finding, with ``preflight.<code>`` as its rule."""
    for finding in findings:
        if finding.error is not None:
            return Failure.from_error(
                finding.error, stage="preflight", rule_id=f"preflight.{finding.code}"
            )
    return None


def warn(code: str, message: str, remediation: str, category: FailureCategory) -> Finding:
    """Make a finding that lets the run go on."""
    return Finding(FindingLevel.WARN, code, message, remediation, category)


def fail(code: str, error: SpikeSortingClassifiedError) -> Finding:
    """Make a finding that ends the run; words and category are the failure's own."""
    return Finding(
        FindingLevel.FAIL, code, error.message, error.row.next_step, error.category, error
    )


def _as_failing(finding: Finding) -> Finding:
    if finding.level is FindingLevel.FAIL:
        return finding
    # What one recording or submission brought with it must not hold the lane of all others.
    cls = _STRICT_ERRORS.get(finding.category, InvalidConfigurationError)
    error = cls(f"{finding.message} Warnings are failures here.", finding=finding.code)
    return replace(finding, level=FindingLevel.FAIL, error=error)
