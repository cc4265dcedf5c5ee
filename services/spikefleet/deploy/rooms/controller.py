"""Builds the controller around an engine: the launcher of attempts and what one may take."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from spikefleet.controller import servicer as door
from spikefleet.controller.attempt_logs import AttemptLogs
from spikefleet.controller.conclude import Conclusions
from spikefleet.controller.curations import Curations
from spikefleet.controller.event_log import EventLog
from spikefleet.controller.outcome_counts import OutcomeCounts, store_gauges
from spikefleet.controller.reconcile import ReconcileLoop, ReconcileParts, Reconciler
from spikefleet.controller.room_calls import RoomCalls
from spikefleet.controller.sort_spec import SortLimits, SortSpecs
from spikefleet.controller.stage_threads import StageThreads
from spikefleet.controller.wishes import Wishes
from spikefleet.core.policy.decide import Policy
from spikefleet.core.policy.sizes import SorterMachine
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.deploy.chores import Chore
from spikefleet.deploy.rooms.wiring import Wiring
from spikefleet.infra import telemetry
from spikefleet.infra.launchers.base import Launcher
from spikefleet.infra.rpc.server import Registration
from spikefleet.infra.stores.sql.database import utc_now

# A page that a service which ended left out is made this long after the next start.
_REPORTS_EVERY_S = 60.0


@dataclass(frozen=True)
class Engine:
    """Where sorts execute.

    ``report_address`` is where runners report their progress, ``prepared_folder`` where those of
    one machine share prepared copies; ``machine_of`` tells of a cluster what a sorter's attempts
    get there; ``offered`` are the sorters that can be run; ``on_round`` is called in every round of
    the controller.
    """

    launcher: Launcher
    limits: SortLimits
    report_address: str
    prepared_folder: str = ""
    machine_of: Callable[[str], SorterMachine] | None = None
    offered: tuple[str, ...] = tuple(BACKENDS)
    on_round: tuple[Callable[[], object], ...] = field(default=())


class BuiltController:
    """The controller's services, and the loop that is to be started when they are served."""

    def __init__(self, wiring: Wiring, engine: Engine) -> None:
        self._wiring, self._engine = wiring, engine
        # Before anything is written: whoever controlled before this process writes nothing more.
        wiring.database.take_epoch(f"{socket.gethostname()}:{os.getpid()}")
        # In every look at the chores: one that has nothing to write would not notice.
        wiring.chores.append(Chore(wiring.database.require_epoch, every_s=0.0))
        self._event_log = EventLog(wiring.runs)
        self.loop = self._reconcile_loop()
        wiring.metrics.collect_from(store_gauges(wiring.runs))

    def registrations(self) -> list[Registration]:
        """ControllerService and RunReportService."""
        wiring = self._wiring
        wishes = Wishes(wiring.runs, wiring.recordings, self._engine.offered)
        curations = Curations(
            wiring.runs,
            wiring.curations,
            wiring.recordings,
            wiring.curation_room(),
            wiring.reporter_room(),
        )
        wiring.chores.append(Chore(curations.report_missing, every_s=_REPORTS_EVERY_S))
        logs = AttemptLogs(wiring.runs, wiring.artifacts, self._engine.launcher.read_log)
        about = door.AboutRuns(logs, curations)
        return list(
            door.registrations(wiring.runs, wiring.access, wishes, lambda: self.loop.wake(), about)
        )

    def _reconcile_loop(self) -> ReconcileLoop:
        wiring, engine = self._wiring, self._engine
        calls = StageThreads(self._room_calls().call, wake=lambda: self.loop.wake())
        wiring.stack.callback(calls.close)
        counts = OutcomeCounts(wiring.metrics, utc_now)
        counts.restore(wiring.runs.end_counts())
        wiring.metrics.begin(telemetry.RECONCILE_ERRORS)
        parts = ReconcileParts(
            runs=wiring.runs,
            access=wiring.access,
            artifacts=wiring.artifacts,
            launcher=engine.launcher,
            calls=calls,
            specs=SortSpecs(
                wiring.recordings,
                wiring.artifacts.url,
                engine.report_address,
                engine.limits,
                prepared_folder=engine.prepared_folder,
                machine_of=engine.machine_of,
            ),
            conclusions=Conclusions(
                wiring.runs,
                wiring.artifacts,
                counts,
                policy=lambda run: Policy.from_config(run.config),
                clock=utc_now,
                memory_limit_bytes=engine.limits.memory_limit_bytes,
                machine_of=engine.machine_of,
            ),
            clock=utc_now,
            on_error=lambda: wiring.metrics.add(telemetry.RECONCILE_ERRORS),
            on_round=self._after_round,
        )
        return ReconcileLoop(Reconciler(parts), interval_s=wiring.settings.reconcile_interval_s)

    def _after_round(self) -> None:
        self._wiring.metrics.set(telemetry.RECONCILE_AGE, utc_now().timestamp())
        self._event_log()
        for work in self._engine.on_round:
            work()

    def _room_calls(self) -> RoomCalls:
        wiring = self._wiring
        return RoomCalls(
            wiring.runs,
            wiring.recordings,
            wiring.preflight_room(),
            wiring.curation_room(),
            wiring.reporter_room(),
        )
