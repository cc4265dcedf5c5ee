"""Every room in one process on one machine: SQLite, a local folder, child processes.

Chooses the adapters and wires the rooms; the rooms talk to each other over the same gRPC as they
would in a cluster. Ends in order: the loop stopped, no new calls, streams told. Running sorts
continue unless the settings say otherwise, and the next start adopts them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib.metadata import version

from spikefleet.client.rooms import ControllerRoom, CurationRoom, PreflightRoom, ReporterRoom
from spikefleet.controller import servicer as controller_door
from spikefleet.controller.attempt_logs import AttemptLogs
from spikefleet.controller.conclude import Conclusions
from spikefleet.controller.event_log import EventLog
from spikefleet.controller.outcome_counts import OutcomeCounts, store_gauges
from spikefleet.controller.reconcile import ReconcileLoop, ReconcileParts, Reconciler
from spikefleet.controller.room_calls import RoomCalls
from spikefleet.controller.sort_spec import SortLimits, SortSpecs
from spikefleet.controller.stage_threads import StageThreads
from spikefleet.controller.wishes import Wishes
from spikefleet.core.policy.decide import Policy
from spikefleet.curation import servicer as curation_door
from spikefleet.deploy.chores import Chore
from spikefleet.deploy.confined_rooms import ConfinedRooms, open_zygote
from spikefleet.deploy.machine import Machine, look_at_machine
from spikefleet.deploy.metrics_targets import FILE_NAME, MetricsTargets
from spikefleet.deploy.service_file import announce, claim, withdraw
from spikefleet.deploy.settings import Settings, base_environment, confined_environment
from spikefleet.infra import telemetry
from spikefleet.infra.launchers.base import Phase
from spikefleet.infra.launchers.process import ProcessLauncher
from spikefleet.infra.launchers.warm import WarmStarts
from spikefleet.infra.logs import configure_logging
from spikefleet.infra.metrics import Measured, Metrics
from spikefleet.infra.rpc.access import Admission
from spikefleet.infra.rpc.channels import is_loopback
from spikefleet.infra.rpc.server import Registration, RpcServer, ServerOptions
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore
from spikefleet.infra.stores.bytes.artifacts_open import open_artifacts
from spikefleet.infra.stores.sql.database import Database, utc_now
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.stores.sql.run_access import RunAccess
from spikefleet.infra.stores.sql.runs import RunStore
from spikefleet.infra.stores.sql.uploads import UploadStore
from spikefleet.infra.system.allocator import keep_freed_memory
from spikefleet.infra.system.open_files import allow_open_files
from spikefleet.ingest import servicer as ingest_door
from spikefleet.ingest.places import RecordingRoots
from spikefleet.preflight import servicer as preflight_door
from spikefleet.reporter import servicer as reporter_door
from spikefleet.signal.preparing.prepared_place import PreparedCopies

log = logging.getLogger(__name__)

_STOP_GRACE_S = 20.0
_CHORES_EVERY_S = 60.0
_STDIN = 0
_OWNER_ONLY = 0o077


@dataclass
class Stores:
    """The adapters of one data folder."""

    settings: Settings
    database: Database = field(init=False)
    runs: RunStore = field(init=False)
    access: RunAccess = field(init=False)
    recordings: RecordingStore = field(init=False)
    uploads: UploadStore = field(init=False)
    artifacts: ArtifactStore = field(init=False)

    def __post_init__(self) -> None:
        self.database = Database(self.settings.resolved_database_url)
        self.database.migrate()
        self.runs = RunStore(self.database)
        self.access = RunAccess(self.database)
        self.recordings = RecordingStore(self.database)
        self.uploads = UploadStore(self.database)
        self.artifacts = open_artifacts(
            self.settings.resolved_artifacts_url, self.settings.s3_credentials
        )


class EmbeddedService:
    """All rooms, wired. ``address`` must be free: rooms dial it before it is served."""

    def __init__(self, settings: Settings, machine: Machine, stack: ExitStack) -> None:
        self.settings = settings
        self.address = _concrete(settings.address)
        self.metrics = Metrics()
        self._admission = Admission()
        self._stack = stack
        self._chores: list[Chore] = []
        self._stores = Stores(settings)
        self._prepared = PreparedCopies(settings.data_dir / "prepared")
        self._chores.append(Chore(self._prepared.tidy, every_s=_CHORES_EVERY_S))
        kernels = settings.data_dir / "kernels"
        stack.callback(self._stores.database.close)
        slots = machine.slots(cpu_slots=settings.cpu_slots, gpu_slots=settings.gpu_slots)
        warm = WarmStarts(settings.warm_s, confined_environment(kernels))
        stack.callback(warm.close)
        self._launcher = ProcessLauncher(
            settings.data_dir / "attempts",
            slots,
            environment=base_environment(settings.s3_credentials)
            | {"NUMBA_CACHE_DIR": str(kernels)},
            gpu_ids=machine.gpu_ids,
            warm=warm if settings.warm_s else None,
        )
        self._limits = SortLimits(
            memory_limit_bytes=settings.attempt_memory_bytes,
            scratch_limit_bytes=settings.attempt_scratch_bytes,
            deadline_s=settings.attempt_deadline_s,
            gpus=slots.gpu,
            image_digest=settings.expected_image_digest,
            cpus_per_attempt=max(1, machine.cores // max(slots.cpu, 1)),
        )
        zygote = open_zygote(confined_environment(kernels), settings.data_dir / "openings")
        stack.callback(zygote.close)
        self._rooms = ConfinedRooms(zygote, settings, self._stores.artifacts)
        self._event_log = EventLog(self._stores.runs)
        targets = settings.metrics_targets or settings.data_dir / FILE_NAME
        self.targets = MetricsTargets(targets, settings.data_dir / "attempts")
        self.loop = self._reconcile_loop()
        self.server = RpcServer(
            self.address,
            self._registrations(),
            ServerOptions(
                meter=self.metrics, reflection=settings.reflection, admission=self._admission
            ),
        )
        self.metrics.collect_from(store_gauges(self._stores.runs))
        self.metrics.collect_from(
            lambda: [Measured(telemetry.UPLOADS_OPEN, self._stores.uploads.open_count())]
        )

    def stop_attempts(self) -> None:
        """End every running sort and wait for its outcome; the next start tries them again."""
        deadline = time.monotonic() + _STOP_GRACE_S + 5.0
        asked: set[str] = set()
        while time.monotonic() < deadline:
            running = {
                name
                for name, observation in self._launcher.observe().items()
                if observation.phase in (Phase.PENDING, Phase.RUNNING)
            }
            if not running:
                return
            for name in running - asked:
                self._launcher.stop(name, grace_s=_STOP_GRACE_S)
            asked |= running
            time.sleep(0.2)

    def _reconcile_loop(self) -> ReconcileLoop:
        stores = self._stores
        calls = StageThreads(self._room_calls().call, wake=lambda: self.loop.wake())
        self._stack.callback(calls.close)
        counts = OutcomeCounts(self.metrics, utc_now)
        counts.restore(stores.runs.end_counts())
        parts = ReconcileParts(
            runs=stores.runs,
            access=stores.access,
            artifacts=stores.artifacts,
            launcher=self._launcher,
            calls=calls,
            specs=SortSpecs(
                stores.recordings,
                stores.artifacts.url,
                self.address,
                self._limits,
                prepared_folder=str(self._prepared.root),
            ),
            conclusions=Conclusions(
                stores.runs,
                stores.artifacts,
                counts,
                policy=lambda run: Policy.from_config(run.config),
                clock=utc_now,
                memory_limit_bytes=self._limits.memory_limit_bytes,
            ),
            clock=utc_now,
            on_error=lambda: self.metrics.add(telemetry.RECONCILE_ERRORS),
            on_round=self._after_round,
        )
        return ReconcileLoop(Reconciler(parts), interval_s=self.settings.reconcile_interval_s)

    def _after_round(self) -> None:
        self.metrics.set(telemetry.RECONCILE_AGE, utc_now().timestamp())
        self._event_log()
        self.targets()
        for chore in self._chores:
            chore()

    def _room_calls(self) -> RoomCalls:
        secret = self._admission.room_secret
        rooms = RoomCalls(
            self._stores.runs,
            self._stores.recordings,
            PreflightRoom(self.address, secret),
            CurationRoom(self.address, secret),
            ReporterRoom(self.address, secret),
        )
        for room in (rooms.preflight, rooms.curation, rooms.reporter):
            self._stack.callback(room.close)
        return rooms

    def _registrations(self) -> list[Registration]:
        stores, secret = self._stores, self._admission.room_secret
        preflight = PreflightRoom(self.address, secret)
        controller = ControllerRoom(self.address, secret)
        self._stack.callback(preflight.close)
        self._stack.callback(controller.close)
        ingest = ingest_door.IngestParts(
            stores.recordings,
            stores.uploads,
            stores.artifacts,
            self.settings.data_dir / "staging",
            preflight,
            controller,
            meter=self.metrics,
            places=RecordingRoots(self.settings.recording_root),
        )
        if self.settings.upload_idle_s:
            ingest = replace(ingest, upload_idle_s=self.settings.upload_idle_s)
        room, drop_abandoned_uploads = ingest_door.open_room(ingest)
        if self.settings.upload_idle_s:
            self._chores.append(Chore(drop_abandoned_uploads, every_s=_CHORES_EVERY_S))
        wishes = Wishes(stores.runs, stores.recordings)
        logs = AttemptLogs(stores.runs, stores.artifacts, self._launcher.read_log)
        return [
            room,
            preflight_door.registration(self._rooms.openings),
            curation_door.registration(self._rooms.curation),
            reporter_door.registration(self._rooms.reports, stores.access.may_read),
            *controller_door.registrations(
                stores.runs, stores.access, wishes, lambda: self.loop.wake(), logs
            ),
        ]


class ExposedAddressError(RuntimeError):
    """Other machines would reach the service, and ``insecure`` was not set."""


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; return 0.

    Raises ExposedAddressError, DataFolderBusyError, DataFolderOpenError, OSError.
    """
    if not (settings.insecure or is_loopback(settings.address)):
        raise ExposedAddressError(
            f"other machines reach {settings.address}, and the service would let everybody there "
            "in; serve at 127.0.0.1 and reach it through ssh -L, or add --insecure where all of "
            "the network is trusted"
        )
    configure_logging(as_json=settings.log_format == "json")
    keep_freed_memory()
    allow_open_files()
    # Recordings and results of every user: others reach them through the doors, never as files.
    os.umask(_OWNER_ONLY)
    with claim(settings.data_dir):
        return asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with ExitStack() as stack:
        service = EmbeddedService(settings, look_at_machine(), stack)
        metrics_port = service.metrics.serve(settings.metrics_port)
        service.targets.serve(metrics_port)
        stack.callback(service.metrics.close)
        await service.server.start()
        service.loop.start()
        announce(
            settings.data_dir,
            address=service.address,
            metrics_port=metrics_port,
            version=version("spikefleet"),
        )
        stack.callback(withdraw, settings.data_dir)
        log.info(
            "service.ready",
            extra={"address": service.address, "metrics_port": metrics_port},
        )
        if settings.until_input_ends:
            _watch_input(stop)
        await stop.wait()
        # First, so that calls cut short by our own leaving are not put down as failures.
        await asyncio.to_thread(service.loop.stop)
        await service.server.serve_until(stop)
        if settings.stop_attempts_on_exit:
            await asyncio.to_thread(service.stop_attempts)
        log.info("service.stopped")
    return 0


def _watch_input(stop: asyncio.Event) -> None:
    """Set ``stop`` when standard input ends: whoever started this service is gone."""
    loop = asyncio.get_running_loop()

    def look() -> None:
        if not os.read(_STDIN, 4096):
            loop.remove_reader(_STDIN)
            stop.set()

    loop.add_reader(_STDIN, look)


def _concrete(address: str) -> str:
    """Replace port 0 by a free port: the rooms must know the address before it is served."""
    host, _, port = address.rpartition(":")
    if port != "0":
        return address
    with socket.socket() as probe:
        probe.bind((host, 0))
        return f"{host}:{probe.getsockname()[1]}"
