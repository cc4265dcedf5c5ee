"""Small registered checks, run in order over the facts somebody gathered.

A check reads facts and returns a finding, several, or None; it opens nothing and raises nothing.
The service and the pod each keep their own ``Checks`` over their own facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from spikefleet.core.failures.errors import Failure
from spikefleet.core.findings.catalogue import row_of
from spikefleet.core.findings.finding import Finding, as_failing, worst_first

FactsT = TypeVar("FactsT")
Found = Finding | tuple[Finding, ...] | None
Look = Callable[[FactsT], Found]


class Checks(Generic[FactsT]):
    """The checks of one place, in the order of their registration."""

    def __init__(self) -> None:
        self._checks: dict[str, Look[FactsT]] = {}

    def check(self, code: str) -> Callable[[Look[FactsT]], Look[FactsT]]:
        """Register a check under the code of its finding.

        Raises:
            ValueError: the code is taken, or the catalogue does not have it.
        """
        row_of(code)

        def register(function: Look[FactsT]) -> Look[FactsT]:
            if code in self._checks:
                raise ValueError(f"two checks are registered as {code!r}")
            self._checks[code] = function
            return function

        return register

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of all registered checks, in order."""
        return tuple(self._checks)

    def run(self, facts: FactsT, *, strict: bool = False) -> tuple[Finding, ...]:
        """Run every check; failures first, otherwise in order. ``strict`` makes warnings fail."""
        found: list[Finding] = []
        for look in self._checks.values():
            answer = look(facts)
            if answer is not None:
                found += answer if isinstance(answer, tuple) else (answer,)
        if strict:
            found = [as_failing(finding) for finding in found]
        return worst_first(found)


def decide(findings: Iterable[Finding], *, stage: str = "preflight") -> Failure | None:
    """Return the failure of the first failing finding, with ``preflight.<code>`` as its rule."""
    for finding in findings:
        if finding.error is not None:
            return Failure.from_error(
                finding.error, stage=stage, rule_id=f"preflight.{finding.code}"
            )
    return None
