"""The rooms that take recordings in, on real stores in a folder; preflight goes by file names."""

from dataclasses import dataclass, field
from pathlib import Path

from tests.support.about_runs import about_runs
from tests.support.serving import ROOM

from spikefleet.api.v1 import controller_pb2_grpc, preflight_pb2, preflight_pb2_grpc
from spikefleet.client.rooms import ControllerRoom, PreflightRoom
from spikefleet.controller.attempt_logs import AttemptLogs
from spikefleet.controller.servicer import ControllerServicer
from spikefleet.controller.wishes import Wishes
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.recording.description import StreamDescription
from spikefleet.infra.metrics import Metrics
from spikefleet.infra.rpc.convert.recordings import to_stream
from spikefleet.infra.rpc.convert.values import to_failure
from spikefleet.infra.rpc.server import Registration
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.stores.sql.run_access import RunAccess
from spikefleet.infra.stores.sql.runs import RunStore
from spikefleet.infra.stores.sql.uploads import UploadStore
from spikefleet.ingest.direct_uploads import DirectLimits
from spikefleet.ingest.servicer import IngestParts, registration

PART_BYTES = 1 << 20


class Describing(preflight_pb2_grpc.PreflightServiceServicer):
    """A preflight room that knows recordings by their entry's name."""

    async def DescribeRecording(self, request, context):  # noqa: N802 - the wire's name
        if "corrupt" in request.recording.entry:
            failure = Failure(FailureCode.INPUT_CORRUPT, "Truncated.")
            return preflight_pb2.DescribeRecordingResponse(failure=to_failure(failure))
        if "crash" in request.recording.entry:
            raise RuntimeError("the reader crashed")
        streams = [StreamDescription(f"well{i:03d}", 16, 20000.0, 5.0, "uint16") for i in (0, 1)]
        return preflight_pb2.DescribeRecordingResponse(
            format="maxwell",
            streams=[to_stream(stream) for stream in streams],
            other_streams=["well000/rec0001"],
        )


@dataclass
class Facility:
    """The rooms that take recordings in, with their stores on disk."""

    folder: Path
    part_size_bytes: int = PART_BYTES
    direct: DirectLimits = field(default_factory=DirectLimits)

    def __post_init__(self) -> None:
        self.database = Database(f"sqlite:///{self.folder / 'spikefleet.db'}")
        self.database.migrate()
        self.recordings = RecordingStore(self.database)
        self.uploads = UploadStore(self.database)
        self.runs = RunStore(self.database)
        self.access = RunAccess(self.database)
        self.artifacts = LocalArtifacts(self.folder / "artifacts")
        self.metrics = Metrics()
        self.logs = AttemptLogs(self.runs, self.artifacts, lambda *_: None)

    def rooms(self, address: str) -> list[Registration]:
        parts = IngestParts(
            recordings=self.recordings,
            uploads=self.uploads,
            artifacts=self.artifacts,
            staging=self.folder / "staging",
            preflight=PreflightRoom(address, ROOM),
            controller=ControllerRoom(address, ROOM),
            meter=self.metrics,
            part_size_bytes=self.part_size_bytes,
            direct=self.direct,
        )
        wishes = Wishes(self.runs, self.recordings)
        about = about_runs(self.database, self.logs, address)
        return [
            registration(parts),
            Registration(
                "spikefleet.api.v1.PreflightService",
                Describing(),
                preflight_pb2_grpc.add_PreflightServiceServicer_to_server,
            ),
            Registration(
                "spikefleet.api.v1.ControllerService",
                ControllerServicer(self.runs, self.access, wishes, lambda: None, about),
                controller_pb2_grpc.add_ControllerServiceServicer_to_server,
            ),
        ]
