"""Outcomes as Prometheus series, counted where they are recorded.

Counters of ends begin with what the history holds, so a restart does not set them back; histograms
start from zero. Every series is there from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from spikefleet.controller.known_outcomes import CANARY_STATES, known_outcomes
from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.findings.catalogue import FINDINGS
from spikefleet.core.findings.finding import FindingLevel
from spikefleet.core.runs import Attempt, Run, RunState
from spikefleet.core.sorters.catalogue import backend_of
from spikefleet.infra import telemetry
from spikefleet.infra.metrics import Measured, Metrics
from spikefleet.infra.stores.sql.run_counts import EndCount
from spikefleet.infra.stores.sql.runs import RunStore

# A pod's words become labels only where we know them: labels without end would fill Prometheus.
_FINDINGS = frozenset(row.code for row in FINDINGS)
_LEVELS = frozenset(FindingLevel)
_OTHER = "other"


@dataclass(frozen=True)
class OutcomeCounts:
    """Counts ends of attempts and runs. ``clock`` gives now, aware UTC."""

    metrics: Metrics
    clock: Callable[[], datetime]

    def restore(self, ends: Iterable[EndCount]) -> None:
        """Begin with the ends of earlier services, and everything else at zero.

        Once, before anything is counted.
        """
        for series, labels in known_outcomes():
            self.metrics.begin(series, **labels)
        for end in ends:
            stage, _, done = end.kind.removeprefix("stage.").partition(".")
            if end.kind.startswith("decision."):
                self._add_attempts(end, end.stage, end.code, end.kind.removeprefix("decision."))
            elif done == "done":
                self._add_attempts(end, stage, "none", "next")
            else:
                status = end.status or str(RunStatus.CANCELLED)
                self.metrics.add(
                    telemetry.RUNS_ENDED, end.count, backend=end.backend, status=status
                )

    def _add_attempts(self, end: EndCount, stage: str, code: str, decision: str) -> None:
        self.metrics.add(
            telemetry.ATTEMPTS_ENDED,
            end.count,
            backend=end.backend,
            stage=stage,
            code=code,
            decision=decision,
        )

    def attempt_ended(
        self, run: Run, attempt: Attempt, failure: Failure | None, decision: str
    ) -> None:
        """One attempt ended; ``decision`` is what follows."""
        self.metrics.add(
            telemetry.ATTEMPTS_ENDED,
            backend=run.backend,
            stage=str(attempt.stage),
            code=str(failure.code) if failure else "none",
            decision=decision,
        )
        seconds = (self.clock() - attempt.created_at).total_seconds()
        self.metrics.observe(
            telemetry.STAGE_DURATION, seconds, backend=run.backend, stage=str(attempt.stage)
        )

    def projection_compared(self, run: Run, compared: Mapping[str, Mapping[str, float]]) -> None:
        """A sort ended whose needs had been projected."""
        for resource, entry in compared.items():
            self.metrics.observe(
                telemetry.PROJECTION_RATIO, entry["ratio"], backend=run.backend, resource=resource
            )

    def recording_sorted(self, run: Run, duration_s: float | None) -> None:
        """A sort succeeded, of this much recorded time (None: it did not say)."""
        self.metrics.add(telemetry.SORTED_SECONDS, duration_s or 0.0, backend=run.backend)

    def sort_ended(self, run: Run, attempt: Attempt, outcome: Mapping[str, Any]) -> None:
        """A sort attempt ended: how long it waited, what its machine noticed, how its trial went.

        The wait of a run ends when its first attempt runs, which in a cluster may be long after the
        attempt was started; one that left no outcome counts from its start.
        """
        if attempt.number == 1:
            waited = (attempt.created_at - run.created_at).total_seconds()
            there_s = (self.clock() - attempt.created_at).total_seconds()
            ran_s = outcome.get("wall_s")
            if isinstance(ran_s, int | float) and 0 < ran_s < there_s:
                waited += there_s - ran_s
            self.metrics.observe(telemetry.QUEUE_WAIT, max(waited, 0.0), backend=run.backend)
        for found in (outcome.get("node") or {}).get("findings") or ():
            code, level = str(found["code"]), str(found["level"])
            self.metrics.add(
                telemetry.NODE_FINDINGS,
                backend=run.backend,
                level=level if level in _LEVELS else _OTHER,
                finding=code if code in _FINDINGS else _OTHER,
            )
        if state := (outcome.get("canary") or {}).get("state"):
            known = str(state) if str(state) in CANARY_STATES else _OTHER
            self.metrics.add(telemetry.CANARIES_ENDED, backend=run.backend, state=known)

    def run_ended(self, run: Run, status: RunStatus, now: datetime) -> None:
        """One run reached its end."""
        self.metrics.add(telemetry.RUNS_ENDED, backend=run.backend, status=str(status))
        seconds = (now - run.created_at).total_seconds()
        self.metrics.observe(
            telemetry.RUN_DURATION, seconds, backend=run.backend, status=str(status)
        )


def store_gauges(runs: RunStore) -> Callable[[], Iterable[Measured]]:
    """Return the reader of gauges that live in the store: runs, attempts, lanes on hold."""

    def read() -> Iterable[Measured]:
        counts = runs.counts_by_state()
        for state in RunState:
            yield Measured(telemetry.RUNS, float(counts.get(state, 0)), {"state": str(state)})
        for live in runs.live_counts():
            uses_gpu = live.stage == Stage.SORT and backend_of(live.backend).uses_gpu
            labels = {"backend": live.backend, "stage": live.stage, "phase": live.phase}
            device = "gpu" if uses_gpu else "cpu"
            yield Measured(telemetry.ATTEMPTS_LIVE, float(live.count), labels | {"device": device})
        for hold in runs.holds():
            yield Measured(telemetry.HOLDS, 1.0, {"lane": hold.lane})

    return read
