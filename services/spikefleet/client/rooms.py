"""How one room calls another: plain data in, plain data out, no message beyond this file.

Blocking calls with deadlines of their own; an event loop runs them in a thread. They raise
ServiceError or ServiceUnreachable.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from spikefleet.api.v1 import (
    controller_pb2_grpc,
    curation_pb2_grpc,
    preflight_pb2_grpc,
    reporter_pb2_grpc,
)
from spikefleet.core.rooms.curation import CurationAnswer, CurationTask
from spikefleet.core.rooms.preflight import Description, Examination, ExamineTask
from spikefleet.core.rooms.reporting import ReportAnswer, ReportTask
from spikefleet.core.rooms.wishes import BatchAnswer, BatchWish
from spikefleet.core.submissions import Recording
from spikefleet.infra.rpc.access import ROOM_KEY
from spikefleet.infra.rpc.channels import dial
from spikefleet.infra.rpc.convert.between_rooms import to_batch_wish, to_examine
from spikefleet.infra.rpc.convert.curation import from_curation, to_curate
from spikefleet.infra.rpc.convert.preflight import from_description, from_examination, to_describe
from spikefleet.infra.rpc.convert.reporting import from_report_answer, to_render
from spikefleet.infra.rpc.convert.wishes import from_made, to_sorters_request
from spikefleet.infra.rpc.errors import (
    ROOM_SECRET_DIFFERS,
    ServiceError,
    ServiceUnreachable,
    answering,
)
from spikefleet.infra.rpc.reasons import REASONS

log = logging.getLogger(__name__)


class Room:
    """A channel to the service at ``host:port``; ``secret`` makes the caller one of its rooms."""

    _key = ROOM_KEY

    def __init__(self, address: str, secret: str = "") -> None:
        self.address = address
        self._channel = dial(address, credentials=((self._key, secret),) if secret else ())

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """Let only ServiceError and ServiceUnreachable out.

        A room that does not know our secret is as good as away: it may be given the same one yet.
        """
        try:
            with answering(self.address):
                yield
        except ServiceError as error:
            if error.reason != "ROOMS_ONLY":
                raise
            log.warning("room.secret_differs", extra={"address": self.address})
            raise ServiceUnreachable(
                ROOM_SECRET_DIFFERS,
                f"The room at {self.address} does not know the secret that this room shows it.",
                next_step=REASONS[ROOM_SECRET_DIFFERS].next_step,
            ) from None


class PreflightRoom(Room):
    """Calls PreflightService."""

    def describe(
        self, recording: Recording, *, list_members: bool = False, deadline_s: float = 600.0
    ) -> Description:
        """Open a recording and list its streams, or on request the recordings it holds."""
        request = to_describe(recording, list_members=list_members)
        stub = preflight_pb2_grpc.PreflightServiceStub(self._channel)
        with self._calling():
            return from_description(stub.DescribeRecording(request, timeout=deadline_s))

    def examine(self, task: ExamineTask, *, deadline_s: float = 900.0) -> Examination:
        """Measure one stream under a resolved configuration."""
        stub = preflight_pb2_grpc.PreflightServiceStub(self._channel)
        with self._calling():
            return from_examination(stub.Check(to_examine(task), timeout=deadline_s))


class CurationRoom(Room):
    """Calls CurationService."""

    def curate(self, task: CurationTask) -> CurationAnswer:
        """Apply a resolved configuration's thresholds to a sort."""
        stub = curation_pb2_grpc.CurationServiceStub(self._channel)
        with self._calling():
            return from_curation(stub.Curate(to_curate(task), timeout=1800.0))


class ReporterRoom(Room):
    """Calls ReporterService's Render."""

    def render(self, task: ReportTask) -> ReportAnswer:
        """Write a run's report."""
        stub = reporter_pb2_grpc.ReporterServiceStub(self._channel)
        with self._calling():
            return from_report_answer(stub.Render(to_render(task), timeout=900.0))


class ControllerRoom(Room):
    """Calls ControllerService for ingest; the controller computes every run's identity."""

    def create_batch(self, wish: BatchWish) -> BatchAnswer:
        """Make runs; those that exist are returned, not made again."""
        stub = controller_pb2_grpc.ControllerServiceStub(self._channel)
        with self._calling():
            return from_made(stub.CreateBatch(to_batch_wish(wish), timeout=60.0))

    def sorters(self) -> tuple[str, ...]:
        """Return the sorters that may be submitted for."""
        stub = controller_pb2_grpc.ControllerServiceStub(self._channel)
        with self._calling():
            answer = stub.ListSorters(to_sorters_request(), timeout=60.0)
        return tuple(answer.names)
