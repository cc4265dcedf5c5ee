"""Builds the rooms that work in confined processes, on one zygote of this process.

Decides how many calls of a kind run at once: a room that is slow or attacked makes no other wait,
as far as the memory of this process's container allows them all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from spikefleet.curation import servicer as curation_door
from spikefleet.curation.sorts import CONFINED as CURATION
from spikefleet.curation.sorts import SortCuration
from spikefleet.deploy.rooms.wiring import RoomName, Wiring
from spikefleet.deploy.settings import Settings, confined_environment
from spikefleet.infra.rpc.server import Registration
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore
from spikefleet.infra.stores.bytes.verified import VerifiedBytes
from spikefleet.infra.system.confinement import missing_layers
from spikefleet.infra.system.memory_reader import MemoryReader
from spikefleet.infra.system.opening_room import room_for_openings
from spikefleet.infra.system.openings import Limits, OpeningPool, Zygote
from spikefleet.preflight import servicer as preflight_door
from spikefleet.preflight.openings import CONFINED as PREFLIGHT
from spikefleet.preflight.openings import Openings
from spikefleet.preflight.places import PreflightPlaces
from spikefleet.reporter import servicer as reporter_door
from spikefleet.reporter.reports import CONFINED as REPORTER
from spikefleet.reporter.reports import Reports

log = logging.getLogger(__name__)

_DESCRIBED_AT_ONCE, _EXAMINED_AT_ONCE, _MADE_AT_ONCE = 4, 2, 2
_KERNELS = "spikefleet.signal.filtering.numba_kernels:compile_now"
_PRELOADED = {
    RoomName.PREFLIGHT: PREFLIGHT,
    RoomName.CURATION: CURATION,
    RoomName.REPORTER: REPORTER,
}


def open_zygote(
    environment: Mapping[str, str],
    folder: Path,
    preloaded: Sequence[str] = tuple(_PRELOADED.values()),
) -> Zygote:
    """Start the process that confined ones are forked from; say loudly what cannot be kept away.

    ``environment`` is all they see of ours, ``folder`` is where their scratch is.
    """
    for missing in missing_layers():
        log.warning("service.not_fully_confined", extra={"missing": missing})
    zygote = Zygote((*preloaded, _KERNELS), environment, folder)
    zygote.warm()
    return zygote


class ConfinedRooms:
    """Preflight, curation and reporter of one process, each with pools of its own."""

    def __init__(self, zygote: Zygote, settings: Settings, artifacts: ArtifactStore) -> None:
        self._zygote, self._settings, self._artifacts = zygote, settings, artifacts
        self._verified = VerifiedBytes(artifacts)
        room = room_for_openings(MemoryReader().read(), settings.opening_memory_bytes)
        self._together = asyncio.Semaphore(room.at_once)
        self._limits = Limits(
            wall_s=settings.opening_limit_s,
            cpu_s=int(settings.opening_limit_s),
            memory_bytes=room.memory_bytes,
        )

    @cached_property
    def openings(self) -> Openings:
        """Opens recordings."""
        plugins = self._zygote.environment.get("HDF5_PLUGIN_PATH", "").split(":")
        return Openings(
            OpeningPool(self._zygote, _DESCRIBED_AT_ONCE, self._together),
            OpeningPool(self._zygote, _EXAMINED_AT_ONCE, self._together),
            self._artifacts,
            PreflightPlaces(
                self._artifacts.url,
                str(self._settings.data_dir / "attempts"),
                sorts_here=self._settings.runners_file is None,
            ),
            self._limits,
            tuple(path for path in plugins if path),
        )

    @cached_property
    def curation(self) -> SortCuration:
        """Curates sorts."""
        return SortCuration(self._pool(), self._verified, self._limits)

    @cached_property
    def reports(self) -> Reports:
        """Writes reports."""
        return Reports(self._pool(), self._verified, self._limits)

    def _pool(self) -> OpeningPool:
        return OpeningPool(self._zygote, _MADE_AT_ONCE, self._together)


def build_confined(wiring: Wiring) -> list[Registration]:
    """Return those of preflight, curation and reporter that this process serves."""
    served = [room for room in _PRELOADED if room in wiring.served]
    folder = wiring.settings.data_dir
    zygote = open_zygote(
        confined_environment(folder / "kernels"),
        folder / "openings",
        [_PRELOADED[room] for room in served],
    )
    wiring.stack.callback(zygote.close)
    rooms = ConfinedRooms(zygote, wiring.settings, wiring.artifacts)
    builders: Mapping[RoomName, Callable[[], Registration]] = {
        RoomName.PREFLIGHT: lambda: preflight_door.registration(rooms.openings),
        RoomName.CURATION: lambda: curation_door.registration(rooms.curation),
        RoomName.REPORTER: lambda: reporter_door.registration(
            rooms.reports, wiring.access.may_read
        ),
    }
    return [builders[room]() for room in served]
