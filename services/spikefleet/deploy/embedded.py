"""Every room in one process on one machine: SQLite, a local folder, child processes.

Chooses the adapters; the rooms talk to each other over the same gRPC as they would in a cluster.
Running sorts continue when the service ends, unless the settings say otherwise, and the next start
adopts them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from contextlib import ExitStack
from importlib.metadata import version

from spikefleet.deploy.machine import Machine, look_at_machine
from spikefleet.deploy.metrics_targets import FILE_NAME, MetricsTargets
from spikefleet.deploy.process_engine import process_engine
from spikefleet.deploy.rooms.serving import (
    Replaced,
    ServedRooms,
    prepare_process,
    stop_on_signals,
)
from spikefleet.deploy.rooms.wiring import RoomName, Wiring
from spikefleet.deploy.service_file import announce, claim, withdraw
from spikefleet.deploy.settings import Settings
from spikefleet.infra.launchers.base import Phase
from spikefleet.infra.rpc.access import Admission
from spikefleet.infra.rpc.addresses import ServiceAddress

log = logging.getLogger(__name__)

_STOP_GRACE_S = 20.0
_STDIN = 0
_REPLACED = 1


class EmbeddedService:
    """All rooms, wired. ``address`` must be free: rooms dial it before it is served."""

    def __init__(
        self, settings: Settings, machine: Machine, stack: ExitStack, on_replaced: Replaced
    ) -> None:
        self.address = _concrete(settings.address)
        settings = settings.model_copy(update={"address": self.address})
        self.wiring = Wiring(
            settings,
            served=frozenset(RoomName),
            addresses=dict.fromkeys(RoomName, self.address),
            admission=Admission(),
            stack=stack,
            on_replaced=on_replaced,
        )
        self.targets = MetricsTargets(
            settings.metrics_targets or settings.data_dir / FILE_NAME,
            settings.data_dir / "attempts",
        )
        engine = process_engine(self.wiring, machine, (self.targets,))
        self._launcher = engine.launcher
        self.rooms = ServedRooms(self.wiring, lambda: engine)

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


class ExposedAddressError(RuntimeError):
    """The service cannot, or shall not, listen at its address."""


def require_trusted_network(settings: Settings) -> None:
    """Refuse an address that other machines reach, unless all of them are trusted.

    Raises ExposedAddressError.
    """
    if ServiceAddress.parse(settings.address).is_url:
        raise ExposedAddressError(
            f"{settings.address} is where clients go; a service listens at HOST:PORT and speaks no "
            "TLS itself, which a proxy or the cluster's gateway in front of it does: add --address"
        )
    if not (settings.insecure or ServiceAddress.parse(settings.address).is_loopback):
        raise ExposedAddressError(
            f"other machines reach {settings.address}, and the service would let everybody there "
            "in; serve at 127.0.0.1 and reach it through ssh -L, or add --insecure where all of "
            "the network is trusted"
        )


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 1 where another service took the database over.

    Raises ExposedAddressError, DataFolderBusyError, DataFolderOpenError, OSError.
    """
    require_trusted_network(settings)
    prepare_process(settings)
    with claim(settings.data_dir):
        return asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    stop = asyncio.Event()
    stop_on_signals(stop)
    with ExitStack() as stack:
        replaced = Replaced(stop)
        service = EmbeddedService(settings, look_at_machine(), stack, replaced)
        metrics = service.wiring.metrics
        metrics_port = metrics.serve(settings.metrics_port)
        service.targets.serve(metrics_port)
        stack.callback(metrics.close)
        await service.rooms.start()
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
        await service.rooms.serve_until(stop)
        if settings.stop_attempts_on_exit and not replaced.happened:
            await asyncio.to_thread(service.stop_attempts)
        log.info("service.stopped")
    return _REPLACED if replaced.happened else 0


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
