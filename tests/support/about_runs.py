"""What a controller's door is given beside the records, on rooms at an address."""

from __future__ import annotations

from tests.support.serving import ROOM

from spikefleet.client.rooms import CurationRoom, ReporterRoom
from spikefleet.controller.attempt_logs import AttemptLogs
from spikefleet.controller.curations import Curations
from spikefleet.controller.servicer import AboutRuns
from spikefleet.infra.stores.sql.curations import CurationStore
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.stores.sql.runs import RunStore


def about_runs(database: Database, logs: AttemptLogs, address: str) -> AboutRuns:
    """Logs as they are given, curations by the rooms at ``address``."""
    curations = Curations(
        RunStore(database),
        CurationStore(database),
        RecordingStore(database),
        CurationRoom(address, ROOM),
        ReporterRoom(address, ROOM),
    )
    return AboutRuns(logs, curations)
