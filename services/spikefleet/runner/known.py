"""What is known of an attempt so far: a value that steps add to, and the outcome made of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from spikefleet.core.attempts import AttemptOutcome
from spikefleet.core.failures.errors import Failure
from spikefleet.core.ids import AttemptId
from spikefleet.runner.evidence import ChildResult
from spikefleet.runner.guards.loop import GuardLoop
from spikefleet.runner.outcome import exit_code_of


@dataclass(frozen=True)
class Known:
    """Everything an outcome tells beside how the sort went."""

    attempt_id: AttemptId
    #: Monotonic time at which the parent began.
    started_s: float = field(default_factory=time.monotonic)
    #: The step that continues, and what those before it took (s).
    stage: str = "start"
    timings_s: Mapping[str, float] = field(default_factory=dict)
    #: What the machine's own checks found, and how the trial on a window went.
    node: Mapping[str, Any] = field(default_factory=dict)
    canary: Mapping[str, Any] = field(default_factory=dict)
    #: What watched the last child: its peaks and thresholds are read when the outcome is made.
    guards: GuardLoop | None = None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the parent started."""
        return round(time.monotonic() - self.started_s, 3)

    def entering(self, stage: str) -> Known:
        """Begin a step; the time of the one before is noted."""
        took_s = round(self.elapsed_s - sum(self.timings_s.values()), 3)
        timings_s = {**self.timings_s, f"parent.{self.stage}": took_s}
        return replace(self, stage=stage, timings_s=timings_s)

    def failed(self, failure: Failure) -> AttemptOutcome:
        """The outcome of a failure, with everything measured so far."""
        staged = failure if failure.stage else replace(failure, stage=self.stage)
        return replace(self._outcome(), exit_code=exit_code_of(staged), failure=staged)

    def succeeded(self, result: ChildResult, artifacts: Mapping[str, str]) -> AttemptOutcome:
        """The outcome of a complete result."""
        return replace(
            self._outcome(),
            n_units=result.n_units,
            n_spikes=result.n_spikes,
            duration_s=result.duration_s,
            artifacts=artifacts,
            timings_s={**self.timings_s, **result.timings_s},
            versions=result.versions,
        )

    def _outcome(self) -> AttemptOutcome:
        return AttemptOutcome(
            attempt_id=self.attempt_id,
            exit_code=0,
            peaks=dict(self.guards.peaks) if self.guards else {},
            thresholds=dict(self.guards.thresholds) if self.guards else {},
            timings_s=self.timings_s,
            wall_s=self.elapsed_s,
            node=self.node,
            canary=self.canary,
            blind_guards=dict(self.guards.blind) if self.guards else {},
        )
