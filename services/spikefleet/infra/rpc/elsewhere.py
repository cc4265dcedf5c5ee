"""Calls of rooms that a process does not serve: refused by name, with the address of the right one.

In a cluster each room has an address of its own, and a person who names a wrong one would read no
more than that the method was not found.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from spikefleet.infra.rpc.access import CALLS, call_name
from spikefleet.infra.rpc.errors import RpcProblem

ROOM_OF: Mapping[str, str] = {
    "IngestService": "ingest",
    "PreflightService": "preflight",
    "CurationService": "curation",
    "ReporterService": "reporter",
    "ControllerService": "controller",
    "RunReportService": "controller",
}
"""Which room answers a service of ``protos/``."""


class Elsewhere(grpc.GenericRpcHandler):  # type: ignore[misc,unused-ignore]
    """Refuses every call of a room that is not served here; added after the rooms that are.

    ``services`` are the full names of what is served, ``addresses`` (by room) where others answer.
    """

    def __init__(self, services: Collection[str], addresses: Mapping[str, str]) -> None:
        names = {service.rpartition(".")[2] for service in services}
        self._served = sorted({ROOM_OF[name] for name in names if name in ROOM_OF})
        self._addresses = dict(addresses)

    def service(self, handler_call_details: Any) -> Any:
        """Return what refuses the call; None for one of a room that is served, or of nobody."""
        name = call_name(handler_call_details.method)
        room = ROOM_OF.get(name.partition("/")[0], "")
        if name not in CALLS or room in self._served or not self._served:
            return None

        async def refuse(request: Any, context: Any) -> Any:
            raise RpcProblem("ANOTHER_ROOM", self._sentence(name, room))

        # Whatever the request is: nothing of it is read, so it is taken for the empty message.
        return grpc.unary_unary_rpc_method_handler(
            refuse, Empty.FromString, Empty.SerializeToString
        )

    def _sentence(self, name: str, room: str) -> str:
        here, address = " and ".join(self._served), self._addresses.get(room, "")
        rooms = f"the {here} room answers" if len(self._served) == 1 else f"{here} answer"
        where = f", which answers at {address}" if address else ""
        said = f"{rooms} at this address; {name} is for the {room} room{where}."
        return said[0].upper() + said[1:]
