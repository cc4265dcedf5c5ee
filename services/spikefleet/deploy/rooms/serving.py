"""Serves the rooms of one process until it is told to stop, and ends in order.

The loop is stopped first, so that calls cut short by our own leaving are not put down as failures;
then no new calls, streams told, calls in flight finished.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module

from spikefleet.controller.reconcile import ReconcileLoop
from spikefleet.deploy.rooms.controller import BuiltController, Engine
from spikefleet.deploy.rooms.wiring import RoomName, Wiring
from spikefleet.deploy.settings import Settings
from spikefleet.infra.logs import configure_logging
from spikefleet.infra.rpc.server import Registration, RpcServer, ServerOptions
from spikefleet.infra.system.allocator import keep_freed_memory
from spikefleet.infra.system.open_files import allow_open_files

log = logging.getLogger(__name__)

_CHORES_LOOK_S = 10.0
_OWNER_ONLY = 0o077
_CONFINED = frozenset({RoomName.PREFLIGHT, RoomName.CURATION, RoomName.REPORTER})


class ServedRooms:
    """The rooms of one process, wired, with their server.

    Made inside the event loop that serves. ``engine`` builds what the controller needs; it is
    called only where the controller is served.
    """

    def __init__(
        self, wiring: Wiring, engine: Callable[[], Engine], *, propagation_s: float = 0.0
    ) -> None:
        self._wiring = wiring
        self.loop: ReconcileLoop | None = None
        settings = wiring.settings
        self.server = RpcServer(
            settings.address,
            self._registrations(engine),
            ServerOptions(
                meter=wiring.metrics,
                reflection=settings.reflection,
                admission=wiring.admission,
                propagation_s=propagation_s,
                rooms={str(room): address for room, address in wiring.addresses.items()},
            ),
        )

    async def start(self) -> None:
        """Begin to answer, and to move runs where the controller is served. Raises OSError."""
        await self.server.start()
        if self.loop is not None:
            self.loop.start()

    async def serve_until(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set, then end in order; ``start`` comes first."""
        chores = asyncio.create_task(self._do_chores())
        try:
            await stop.wait()
            if self.loop is not None:
                await asyncio.to_thread(self.loop.stop)
            await self.server.serve_until(stop)
        finally:
            chores.cancel()
            with suppress(asyncio.CancelledError):
                await chores

    def _registrations(self, engine: Callable[[], Engine]) -> list[Registration]:
        found: list[Registration] = []
        served = self._wiring.served
        # Late and by name: a room's image holds only what its own rooms import.
        if RoomName.INGEST in served:
            found += import_module("spikefleet.deploy.rooms.ingest").build_ingest(self._wiring)
        if served & _CONFINED:
            found += import_module("spikefleet.deploy.rooms.confined").build_confined(self._wiring)
        if RoomName.CONTROLLER in served:
            controller = BuiltController(self._wiring, engine())
            self.loop = controller.loop
            found += controller.registrations()
        return found

    async def _do_chores(self) -> None:
        while True:
            await asyncio.sleep(_CHORES_LOOK_S)
            work = [asyncio.to_thread(chore) for chore in self._wiring.chores]
            for error in await asyncio.gather(*work, return_exceptions=True):
                if error is not None:
                    log.error("chore.failed", exc_info=error)


class Replaced:
    """Ends this process in order once another controller has taken over its database.

    Made inside the event loop that serves; may be called from any thread.
    """

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop, self._events = stop, asyncio.get_running_loop()
        self.happened = False

    def __call__(self) -> None:
        """Have ``stop`` set."""
        if not self.happened:
            self.happened = True
            log.error("controller.replaced")
            self._events.call_soon_threadsafe(self._stop.set)


def prepare_process(settings: Settings) -> None:
    """Set up what every process that serves rooms has: log, memory, open files, closed files."""
    configure_logging(as_json=settings.log_format == "json")
    keep_freed_memory()
    allow_open_files()
    # Recordings and results of every user: others reach them through the doors, never as files.
    os.umask(_OWNER_ONLY)


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set ``stop`` at the first SIGTERM or SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
