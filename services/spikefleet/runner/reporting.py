"""What a running attempt tells: heartbeat on disk, live series, and a sink towards the controller.

The sink is best effort by contract: it must return at once and never raise, because a service that
is away must not disturb a sort.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from spikefleet.core.attempts import AttemptSpec, RunFolder
from spikefleet.core.files import write_json
from spikefleet.core.runs import LeaseAnswer
from spikefleet.infra import telemetry
from spikefleet.infra.metrics import Metrics
from spikefleet.runner.guards.loop import GuardLoop

_log = logging.getLogger(__name__)

HEARTBEAT_S = 2.0


@dataclass(frozen=True)
class AttemptProgress:
    """Where the sort is: step, share of the whole (0..1), spikes so far (None = not said)."""

    step: str = "stage_in"
    fraction: float = 0.0
    spikes: int | None = None
    elapsed_s: float = 0.0
    memory_bytes: float | None = None


class ProgressSink(Protocol):
    """Takes news of an attempt. Returns at once; never raises."""

    def report_progress(self, spec: AttemptSpec, progress: AttemptProgress) -> bool:
        """Pass progress on. True when the attempt was asked to stop."""
        ...

    def report_end(self, spec: AttemptSpec) -> None:
        """Tell that the attempt has ended."""
        ...

    def take_lease(self, spec: AttemptSpec) -> LeaseAnswer:
        """Ask for leave to write the run. The one call that may take seconds."""
        ...


class SilentSink:
    """Reports to no one: an attempt without a controller."""

    def report_progress(self, spec: AttemptSpec, progress: AttemptProgress) -> bool:
        """There is no controller, so no request to stop."""
        return False

    def report_end(self, spec: AttemptSpec) -> None:
        """There is no controller to tell."""

    def take_lease(self, spec: AttemptSpec) -> LeaseAnswer:
        """There are no leases without a controller, so the process continues."""
        return LeaseAnswer(is_known=False)


class Reporter:
    """Keeps heartbeat, live series and sink up to date; writes at most every ``HEARTBEAT_S``."""

    def __init__(
        self, spec: AttemptSpec, folder: RunFolder, metrics: Metrics, sink: ProgressSink
    ) -> None:
        self._spec, self._folder, self._metrics, self._sink = spec, folder, metrics, sink
        self._due_s = 0.0
        self._step = ""
        self._warnings: dict[str, int] = {}
        self._trip_told = False
        self._advisories: dict[str, str] = {}
        self._guards: GuardLoop | None = None
        self._spikes: int | None = None

    @property
    def step(self) -> str:
        """The step the attempt was in when it was last told of."""
        return self._step

    def tell(self, progress: AttemptProgress, guards: GuardLoop | None = None) -> bool:
        """Tell where the attempt is, if it is time. True when asked to stop."""
        now_s = time.monotonic()
        guards = self._guards = guards or self._guards  # their last word outlives the child
        spikes = self._spikes = self._spikes if progress.spikes is None else progress.spikes
        progress = replace(progress, spikes=spikes)
        is_urgent = progress.step != self._step or (guards is not None and guards.trip is not None)
        if now_s < self._due_s and not is_urgent:
            return False
        self._due_s, self._step = now_s + HEARTBEAT_S, progress.step
        if guards is not None and (usage := guards.readings.get("usage")):
            progress = replace(progress, memory_bytes=usage.values.get("memory_bytes"))
        self._write_heartbeat(progress, guards)
        self._set_series(progress, guards)
        return self._sink.report_progress(self._spec, progress)

    def _write_heartbeat(self, progress: AttemptProgress, guards: GuardLoop | None) -> None:
        readings = guards.readings if guards else {}
        document = {
            "attempt_id": self._spec.attempt_id,
            "at": time.time(),
            "progress": asdict(progress),
            "readings": {name: dict(reading.values) for name, reading in readings.items()},
            "warnings": {name: reading.warning for name, reading in readings.items()},
            "advisories": {
                name: reading.advisory for name, reading in readings.items() if reading.advisory
            },
            "peaks": dict(guards.peaks) if guards else {},
        }
        try:
            write_json(self._folder.heartbeat, document)
        except OSError as error:  # a full disk: the disk guard's matter, not the heartbeat's
            _log.warning("heartbeat.not_written", extra={"error": str(error)})

    def _set_series(self, progress: AttemptProgress, guards: GuardLoop | None) -> None:
        metrics = self._metrics
        own = {"run_id": self._spec.run_id, "backend": self._spec.backend}
        metrics.set(telemetry.ATTEMPT_PROGRESS, progress.fraction, **own)
        metrics.set(telemetry.ATTEMPT_ELAPSED, progress.elapsed_s, **own)
        metrics.clear(telemetry.ATTEMPT_STEP)
        metrics.set(telemetry.ATTEMPT_STEP, 1, **own, step=progress.step)
        if progress.spikes is not None:
            metrics.set(telemetry.ATTEMPT_SPIKES, progress.spikes, **own)
        if guards is not None:
            self._set_guard_series(own, guards)

    def _set_guard_series(self, own: dict[str, str], guards: GuardLoop) -> None:
        metrics, backend = self._metrics, self._spec.backend
        self._set_advisories(own, guards)
        for key, value in guards.thresholds.items():
            name, _, threshold = key.partition(".")
            labels = {**own, "guard": name, "threshold": threshold}
            metrics.set(telemetry.GUARD_THRESHOLD, value, **labels)
        for name, reading in guards.readings.items():
            metrics.set(telemetry.GUARD_READABLE, bool(reading.values), **own, guard=name)
            for signal, value in reading.values.items():
                metrics.set(telemetry.GUARD_VALUE, value, **own, guard=name, signal=signal)
        for guard in guards.guards:
            metrics.begin(telemetry.GUARD_WARNINGS, backend=backend, guard=guard.name)
            metrics.begin(telemetry.GUARD_TRIPS, backend=backend, guard=guard.name)
        for name, count in guards.warnings.items():
            fresh = count - self._warnings.get(name, 0)
            if fresh:
                metrics.add(telemetry.GUARD_WARNINGS, fresh, backend=backend, guard=name)
            self._warnings[name] = count
        if guards.trip is not None and not self._trip_told:
            self._trip_told = True
            metrics.add(telemetry.GUARD_TRIPS, backend=backend, guard=guards.tripped_guard)

    def _set_advisories(self, own: dict[str, str], guards: GuardLoop) -> None:
        """Say which guards can only advise. Written when that changes, so no scrape misses it."""
        found = {name: r.advisory for name, r in guards.readings.items() if r.advisory}
        if found == self._advisories:
            return
        self._advisories = found
        self._metrics.clear(telemetry.GUARD_ADVISORY)
        for name, reason in found.items():
            self._metrics.set(telemetry.GUARD_ADVISORY, 1, **own, guard=name, reason=reason)


class CanaryReporter(Reporter):
    """Tells of the trial before the sort: one step, which moves the sort's fraction nowhere."""

    _inside = ""

    @property
    def step(self) -> str:
        """The step inside the trial, for guards that must know it."""
        return self._inside

    def tell(self, progress: AttemptProgress, guards: GuardLoop | None = None) -> bool:
        """Tell that the trial is under way."""
        self._inside = progress.step
        return super().tell(replace(progress, step="canary", fraction=0.0, spikes=None), guards)
