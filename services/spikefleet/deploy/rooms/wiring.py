"""What the rooms of one process share: settings, stores, metrics, who is let in, who dials whom.

Everything here is made once per process and closed with its stack. A room that needs no database
opens none: the stores are made when they are first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TypeVar

from spikefleet.client.rooms import ControllerRoom, CurationRoom, PreflightRoom, ReporterRoom
from spikefleet.deploy.chores import Chore
from spikefleet.deploy.settings import Settings
from spikefleet.infra.metrics import Metrics
from spikefleet.infra.rpc.access import Admission
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore
from spikefleet.infra.stores.bytes.artifacts_open import open_artifacts
from spikefleet.infra.stores.sql.curations import CurationStore
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.stores.sql.run_access import RunAccess
from spikefleet.infra.stores.sql.runs import RunStore
from spikefleet.infra.stores.sql.uploads import UploadStore

CHORES_EVERY_S = 60.0

RoomT = TypeVar("RoomT", PreflightRoom, CurationRoom, ReporterRoom, ControllerRoom)


class RoomName(StrEnum):
    """The rooms that are served; the runner is started for every attempt instead."""

    INGEST = "ingest"
    PREFLIGHT = "preflight"
    CURATION = "curation"
    REPORTER = "reporter"
    CONTROLLER = "controller"


@dataclass
class Wiring:
    """The rooms ``served`` by one process, and the ``addresses`` (host:port) of all rooms.

    While ``may_act`` says no, this process writes nothing to the run database. ``on_replaced`` is
    called when another controller has taken over that database.
    """

    settings: Settings  #: of this process
    served: frozenset[RoomName]
    addresses: Mapping[RoomName, str]
    admission: Admission  #: who is let in
    stack: ExitStack  #: closes everything at the end
    metrics: Metrics = field(default_factory=Metrics)  #: the series of this process
    chores: list[Chore] = field(default_factory=list)  #: what is done now and then
    may_act: Callable[[], bool] = lambda: True
    on_replaced: Callable[[], None] = lambda: None

    @cached_property
    def database(self) -> Database:
        """The run database, brought to this release's version."""
        database = Database(
            self.settings.resolved_database_url, password=self.settings.database_password
        )
        self.stack.callback(database.close)
        database.migrate()
        database.write_while(self.may_act)
        database.on_replaced = self.on_replaced
        return database

    @cached_property
    def runs(self) -> RunStore:
        """Batches, runs, attempts."""
        return RunStore(self.database)

    @cached_property
    def curations(self) -> CurationStore:
        """Curations beside the runs' own."""
        return CurationStore(self.database)

    @cached_property
    def access(self) -> RunAccess:
        """Owners of runs, secrets of attempts."""
        return RunAccess(self.database)

    @cached_property
    def recordings(self) -> RecordingStore:
        """What was accepted."""
        return RecordingStore(self.database)

    @cached_property
    def uploads(self) -> UploadStore:
        """What is under way."""
        return UploadStore(self.database)

    @cached_property
    def artifacts(self) -> ArtifactStore:
        """Where bytes live."""
        settings = self.settings
        return open_artifacts(settings.resolved_artifacts_url, settings.s3_credentials)

    def chore(self, work: Callable[[], object]) -> None:
        """Have ``work`` done once a minute."""
        self.chores.append(Chore(work, every_s=CHORES_EVERY_S))

    def preflight_room(self) -> PreflightRoom:
        """A channel to the preflight room, closed with the process."""
        return self._closing(PreflightRoom(*self._to(RoomName.PREFLIGHT)))

    def curation_room(self) -> CurationRoom:
        """A channel to the curation room."""
        return self._closing(CurationRoom(*self._to(RoomName.CURATION)))

    def reporter_room(self) -> ReporterRoom:
        """A channel to the reporter."""
        return self._closing(ReporterRoom(*self._to(RoomName.REPORTER)))

    def controller_room(self) -> ControllerRoom:
        """A channel to the controller."""
        return self._closing(ControllerRoom(*self._to(RoomName.CONTROLLER)))

    def _to(self, room: RoomName) -> tuple[str, str]:
        return self.addresses[room], self.admission.room_secret

    def _closing(self, room: RoomT) -> RoomT:
        self.stack.callback(room.close)
        return room
