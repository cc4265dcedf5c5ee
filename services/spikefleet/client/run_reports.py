"""What a running attempt tells the controller. Best effort: nothing here raises.

The outcome of an attempt is on record elsewhere: a sort does not need a controller that answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc

from spikefleet.api.v1 import runner_pb2, runner_pb2_grpc
from spikefleet.client.rooms import Room
from spikefleet.core.runs import Heard, LeaseAnswer
from spikefleet.infra.rpc.access import ATTEMPT_KEY
from spikefleet.infra.rpc.convert.runs import from_lease, to_progress


class RunReports(Room):
    """Calls RunReportService; ``secret`` is the attempt's own."""

    _key = ATTEMPT_KEY

    def __init__(
        self,
        address: str,
        secret: str = "",
        *,
        deadline_s: float = 2.0,
        lease_deadline_s: float = 10.0,
    ) -> None:
        super().__init__(address, secret)
        self._deadline_s, self._lease_deadline_s = deadline_s, lease_deadline_s

    def take_lease(self, attempt_id: str, holder: str) -> LeaseAnswer:
        """Ask whether the process ``holder`` may write the attempt's run.

        ``is_known`` is False when no controller answered, or one that does not know the attempt.
        """
        request = runner_pb2.TakeLeaseRequest(attempt_id=attempt_id, holder=holder)
        stub = runner_pb2_grpc.RunReportServiceStub(self._channel)
        try:
            answer = stub.TakeLease(request, timeout=self._lease_deadline_s)
        except grpc.RpcError:
            return LeaseAnswer(is_known=False)
        return from_lease(answer.lease)

    def progress(self, attempt_id: str, progress: Mapping[str, Any], holder: str) -> Heard:
        """Tell how far the attempt is; learn whether it shall stop and where its lease stands.

        ``progress`` has the keys that ``infra.rpc.convert.runs.to_progress`` names.
        """
        request = runner_pb2.ReportProgressRequest(
            attempt_id=attempt_id, progress=to_progress(progress), holder=holder
        )
        stub = runner_pb2_grpc.RunReportServiceStub(self._channel)
        try:
            answer = stub.ReportProgress(request, timeout=self._deadline_s)
        except grpc.RpcError:
            return Heard(stop_requested=False)
        lease = from_lease(answer.lease) if answer.HasField("lease") else None
        return Heard(bool(answer.stop_requested), lease)

    def end(self, attempt_id: str) -> None:
        """Tell that the attempt has ended, so that the controller looks at once."""
        request = runner_pb2.ReportOutcomeRequest(attempt_id=attempt_id)
        stub = runner_pb2_grpc.RunReportServiceStub(self._channel)
        try:
            stub.ReportOutcome(request, timeout=self._deadline_s)
        except grpc.RpcError:
            return
