"""One address for all rooms, led by the chart's own routes: what a gateway is in a facility."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from tests.support.room_processes import free_port

_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
_OPEN_S = 30.0
_AGES_S = 1e6


@dataclass
class Forward:
    """A port of loopback that leads to a Service; opened again when its pod has gone."""

    command: list[str]
    log: Path
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def address(self) -> str:
        """Where the Service answers now; ConnectionError when it has not within the time."""
        deadline = time.monotonic() + _OPEN_S
        with self._lock:
            while time.monotonic() < deadline:
                if self._process is None or self._process.poll() is not None:
                    with self.log.open("ab") as log:
                        self._process = subprocess.Popen(
                            [*self.command, f"{self.port}:7311"], stdout=log, stderr=log
                        )
                if _listens(self.port):
                    return f"127.0.0.1:{self.port}"
                time.sleep(0.1)
        raise ConnectionError(self.log.read_text(errors="replace")[-500:])

    def renew(self) -> None:
        """Open it anew: the pod behind it may be another."""
        self.close()
        self.address()

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Entrance(grpc.GenericRpcHandler):
    """Passes every call on, byte by byte, to the room that serves it."""

    def __init__(self, rooms: Mapping[str, Forward]) -> None:
        self._rooms = rooms
        self._server = grpc.server(futures.ThreadPoolExecutor(32), options=_UNLIMITED)
        self._server.add_generic_rpc_handlers((self,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def close(self) -> None:
        """Stop; calls in flight are cut off."""
        self._server.stop(0).wait()
        for forward in self._rooms.values():
            forward.close()

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler | None:
        """Return what passes a call on; None where no route leads, as a gateway answers."""
        method = handler_call_details.method
        forward = self._rooms.get(method.split("/")[1])
        return forward and grpc.stream_stream_rpc_method_handler(_passing_on(method, forward))


def _passing_on(method: str, forward: Forward) -> Callable[..., Iterator[bytes]]:
    def pass_on(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        try:
            address = forward.address()
        except ConnectionError as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        with grpc.insecure_channel(address, options=_UNLIMITED) as channel:
            call = channel.stream_stream(method)(
                requests,
                metadata=[pair for pair in context.invocation_metadata() if not _is_hop(pair[0])],
                timeout=_time_left(context),
            )
            context.add_callback(call.cancel)
            try:
                yield from call
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    forward.renew()
                context.set_trailing_metadata(error.trailing_metadata() or ())
                context.abort(error.code(), error.details() or "")

    return pass_on


def _time_left(context: grpc.ServicerContext) -> float | None:
    """The seconds a call still has; None for one without a deadline, which reads as ages."""
    left = context.time_remaining()
    return None if left is None or left > _AGES_S else left


def _is_hop(key: str) -> bool:
    """Whether a header belongs to one connection, not to the call."""
    return key == "user-agent" or key.startswith(("grpc-", ":"))


def port_forward(kubectl: list[str], service: str, log: Path) -> Forward:
    """Return a port that leads to a Service; not opened yet."""
    return Forward([*kubectl, "port-forward", "--address", "127.0.0.1", f"service/{service}"], log)
