"""Small registered checks, run in order over the facts somebody gathered.

A check reads facts and returns a finding, several, or None; it opens nothing and raises nothing.
The service and the pod each keep their own ``Checks`` over their own facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from spikefleet.core.failures.errors import Failure
from spikefleet.core.findings.catalogue import row_of
from spikefleet.core.findings.finding import Finding, as_failing, worst_first

FactsT = TypeVar("FactsT")
SeenT = TypeVar("SeenT")
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

    def adopt(
        self, looks: Mapping[str, Callable[[SeenT], Found]], see: Callable[[FactsT], SeenT]
    ) -> None:
        """Register checks of other facts, which ``see`` makes from ours. Raises as ``check``."""
        for code, look in looks.items():
            self.check(code)(_seen_through(see, look))

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


def _seen_through(see: Callable[[FactsT], SeenT], look: Callable[[SeenT], Found]) -> Look[FactsT]:
    return lambda facts: look(see(facts))


def decide(findings: Iterable[Finding], *, stage: str = "preflight") -> Failure | None:
    """Return the failure of the first failing finding, with ``preflight.<code>`` as its rule."""
    for finding in findings:
        if finding.error is not None:
            return Failure.from_error(
                finding.error, stage=stage, rule_id=f"preflight.{finding.code}"
            )
    return None
