"""What a client asks of the installation itself: the sorters it offers, the lanes on hold."""

from __future__ import annotations

from typing import Any

from spikefleet.api.v1 import controller_pb2
from spikefleet.core.runs import Hold
from spikefleet.infra.rpc.convert.wishes import from_hold
from spikefleet.infra.rpc.errors import answering


class InstallationCalls:
    """The part of ``SortingClient`` that names no run."""

    address: str
    _controller: Any

    def sorters(self) -> tuple[str, ...]:
        """Return the names of the sorters that the service offers."""
        with answering(self.address):
            answer = self._controller.ListSorters(controller_pb2.ListSortersRequest())
        return tuple(answer.names)

    def holds(self) -> tuple[Hold, ...]:
        """Return the lanes on hold."""
        with answering(self.address):
            answer = self._controller.ListHolds(controller_pb2.ListHoldsRequest())
        return tuple(from_hold(hold) for hold in answer.holds)

    def release(self, lane: str) -> int:
        """Open a lane again; return how many runs continued."""
        with answering(self.address):
            request = controller_pb2.ReleaseHoldRequest(lane=lane)
            answer = self._controller.ReleaseHold(request)
        return int(answer.released_run_count)
