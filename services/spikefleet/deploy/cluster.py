"""Rooms as services of their own: ``python -m spikefleet.deploy.cluster ROOM [ROOM ...]``.

Each process serves the rooms it is told to and dials the others at the addresses of its settings;
all of them share one run database, one artifact store and one secret. The controller starts sorts
as Kubernetes Jobs where ``runners_file`` says how, and as processes of its machine otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING

from pydantic import ValidationError

from spikefleet.core.failures.errors import SpikeSortingClassifiedError
from spikefleet.deploy.rooms.controller import Engine
from spikefleet.deploy.rooms.serving import (
    Replaced,
    ServedRooms,
    prepare_process,
    stop_on_signals,
)
from spikefleet.deploy.rooms.wiring import RoomName, Wiring
from spikefleet.deploy.service_file import DataFolderBusyError, DataFolderOpenError, claim
from spikefleet.deploy.settings import Settings, load_settings
from spikefleet.infra.launchers.base import LauncherUnreachableError
from spikefleet.infra.rpc.access import Admission
from spikefleet.infra.stores.sql.database import Database, SchemaTooNewError

if TYPE_CHECKING:
    from spikefleet.deploy.leadership import Leadership

log = logging.getLogger(__name__)

_EVERY_INTERFACE = "0.0.0.0"
_USAGE_ERROR = 2
_SHORTEST_SECRET_BYTES = 16
_REPLACED = 1
_DIALS: Mapping[RoomName, frozenset[RoomName]] = {
    RoomName.INGEST: frozenset({RoomName.PREFLIGHT, RoomName.CONTROLLER}),
    RoomName.CONTROLLER: frozenset({RoomName.PREFLIGHT, RoomName.CURATION, RoomName.REPORTER}),
}
_REFUSALS = (
    ValueError,
    OSError,
    SpikeSortingClassifiedError,
    DataFolderBusyError,
    DataFolderOpenError,
    SchemaTooNewError,
    LauncherUnreachableError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve rooms until SIGTERM, or bring the database to this release; return the exit code."""
    told = _parser().parse_args(arguments)
    try:
        settings = load_settings()
        if told.migrate:
            return _migrate(settings)
        return serve_rooms(settings, _rooms(told.rooms))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        return _refuse("; ".join(lines))
    except _REFUSALS as error:
        return _refuse(str(error))


def serve_rooms(settings: Settings, served: frozenset[RoomName]) -> int:
    """Serve ``served`` until SIGTERM or SIGINT; return 0.

    Returns 1 where it ended because another controller may have begun. Raises ValueError when an
    address or the secret of the rooms is missing, OSError.
    """
    prepare_process(settings)
    admission = _admission(settings, served)
    addresses = _addresses(settings, served)
    with claim(settings.data_dir):
        return asyncio.run(_serve(settings, served, addresses, admission))


async def _serve(
    settings: Settings,
    served: frozenset[RoomName],
    addresses: Mapping[RoomName, str],
    admission: Admission,
) -> int:
    stop = asyncio.Event()
    stop_on_signals(stop)
    with ExitStack() as stack:
        wiring = Wiring(settings, served, addresses, admission, stack)
        replaced = wiring.on_replaced = Replaced(stop)
        leadership = _leadership(settings, served, stop)
        if leadership is not None:
            stack.callback(leadership.close)
            wiring.may_act = leadership.may_act
            if not await leadership.win():
                return 0
        metrics_port = wiring.metrics.serve(settings.metrics_port, address=_EVERY_INTERFACE)
        stack.callback(wiring.metrics.close)
        rooms = ServedRooms(wiring, lambda: _engine(wiring), propagation_s=settings.drain_s)
        await rooms.start()
        if leadership is not None and rooms.loop is not None:
            leadership.watch(rooms.loop.wake)
        log.info(
            "rooms.ready",
            extra={
                "rooms": sorted(served),
                "address": settings.address,
                "metrics_port": metrics_port,
            },
        )
        await rooms.serve_until(stop)
        log.info("rooms.stopped", extra={"rooms": sorted(served)})
    was_lost = replaced.happened or (leadership is not None and leadership.was_lost)
    return _REPLACED if was_lost else 0


def _leadership(
    settings: Settings, served: frozenset[RoomName], stop: asyncio.Event
) -> Leadership | None:
    """What keeps controllers of one cluster apart; none where the data folder's claim does."""
    if RoomName.CONTROLLER not in served or settings.runners_file is None:
        return None
    # Late and by name: only the controller's image has what speaks with the cluster.
    module = import_module("spikefleet.deploy.leadership")
    found: Leadership = module.Leadership(settings, stop)
    return found


def _engine(wiring: Wiring) -> Engine:
    # Late and by name: only the controller's image has what starts sorts.
    kind = "process" if wiring.settings.runners_file is None else "cluster"
    module = import_module(f"spikefleet.deploy.{kind}_engine")
    engine: Engine = getattr(module, f"{kind}_engine")(wiring)
    return engine


def _admission(settings: Settings, served: frozenset[RoomName]) -> Admission:
    """Who is let in: rooms of other processes by the secret all of them share."""
    secret = settings.room_secret
    if secret and len(secret.encode()) < _SHORTEST_SECRET_BYTES:
        raise ValueError(
            f"room_secret_file holds {len(secret.encode())} bytes, which can be guessed: "
            f"{_SHORTEST_SECRET_BYTES} at least, better 32 random ones as text"
        )
    if secret:
        return Admission(room_secret=secret)
    if served == frozenset(RoomName):
        return Admission()
    raise ValueError(
        "room_secret_file is not set, or the file is empty: rooms in several processes know each "
        "other by the secret in it, 32 random bytes or more as text"
    )


def _addresses(settings: Settings, served: frozenset[RoomName]) -> dict[RoomName, str]:
    """Where each room that is dialled from here answers. Raises ValueError for one not named."""
    _, _, port = settings.address.rpartition(":")
    found = {}
    for room in RoomName:
        named = str(getattr(settings, f"{room}_address"))
        found[room] = named or (f"127.0.0.1:{port}" if room in served else "")
    dialled = frozenset[RoomName]().union(*(_DIALS.get(room, frozenset()) for room in served))
    missing = sorted(room for room in dialled if not found[room])
    if missing:
        names = ", ".join(f"{room}_address" for room in missing)
        raise ValueError(f"{names} must be set: {', '.join(sorted(served))} calls these rooms")
    return found


def _rooms(names: Sequence[str]) -> frozenset[RoomName]:
    """The rooms by their names. Raises ValueError for none, and for one that is no room."""
    if "all" in names:
        return frozenset(RoomName)
    unknown = sorted(set(names) - set(RoomName))
    if unknown or not names:
        wrong = f"{unknown[0]} is not a room" if unknown else "no room is named"
        raise ValueError(f"{wrong}; there are {', '.join(RoomName)}, and all")
    return frozenset(map(RoomName, names))


def _migrate(settings: Settings) -> int:
    database = Database(settings.resolved_database_url, password=settings.database_password)
    try:
        version = database.migrate()
    finally:
        database.close()
    sys.stdout.write(f"the run database is at schema version {version}\n")
    return 0


def _refuse(reason: str) -> int:
    sys.stderr.write(f"spikefleet: {reason}\n")
    return _USAGE_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m spikefleet.deploy.cluster",
        description="Serve rooms of the facility's service. Settings come from SPIKEFLEET_<NAME>.",
    )
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"{', '.join(RoomName)}, or all")
    parser.add_argument(
        "--migrate", action="store_true", help="bring the run database to this release, and end"
    )
    return parser


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # All is in order by now; a thread that still hangs in a call must not choose the exit code.
    os._exit(code)  # noqa: TID251
