"""One grpc.aio server: services, health, reflection, and an end that loses nothing.

Decides the order of a shutdown: say NOT_SERVING, end open streams with UNAVAILABLE and
RetryInfo, let calls in flight finish within the grace, stop. It chooses no service and reads
no settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from spikefleet.infra.rpc import interceptors
from spikefleet.infra.rpc.access import Admission
from spikefleet.infra.rpc.elsewhere import Elsewhere
from spikefleet.infra.rpc.first_counts import begin_counts
from spikefleet.infra.rpc.interceptors import RpcMeter
from spikefleet.infra.rpc.shares import MOST_CALLS, CallShares

_MIB = 1 << 20
_MOST_CONNECTIONS = 16_384
_HANDSHAKE_S = 10.0
_IDLE_CONNECTION_S = 300.0  # a client that calls again dials again, unseen by its caller


@dataclass(frozen=True)
class Registration:
    """One service to serve. ``service`` is its full name, ``add`` the generated function."""

    service: str
    servicer: Any
    add: Callable[[Any, grpc.aio.Server], None]


@dataclass(frozen=True)
class ServerOptions:
    """How the server behaves.

    ``propagation_s`` is how long load balancers need to hear NOT_SERVING before streams end;
    ``grace_s`` what calls in flight may still take; ``unary_cap_s`` what any unary call may take.
    ``admission`` says who may call what, ``calls_of_one_caller`` how many he may have open.
    A connection over which nobody says anything is closed after ``handshake_s``. ``rooms`` says of
    each room where it answers, for who calls a wrong one.
    """

    meter: RpcMeter | None = None  #: counts calls
    reflection: bool = True  #: answer what services there are
    unary_cap_s: float = 3600.0
    propagation_s: float = 0.0
    grace_s: float = 10.0
    max_message_bytes: int = 64 * _MIB  #: largest message either way
    extra: Sequence[tuple[str, Any]] = field(default=())  #: further gRPC options
    admission: Admission = field(default_factory=Admission)
    calls_of_one_caller: int = MOST_CALLS
    handshake_s: float = _HANDSHAKE_S
    rooms: Mapping[str, str] = field(default_factory=dict)


class RpcServer:
    """Serves registrations at ``address`` (``host:port``; port 0 takes a free one).

    Made inside the event loop that serves. ``bind`` comes first where services need to know the
    port they will be reached at; ``start`` binds when nobody has.
    """

    def __init__(
        self,
        address: str,
        registrations: Sequence[Registration] = (),
        options: ServerOptions | None = None,
    ) -> None:
        self._address = address
        self._registrations = list(registrations)
        self._options = options or ServerOptions()
        self._draining = asyncio.Event()
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            interceptors=self._interceptors(), options=self._grpc_options()
        )
        self._is_started = False
        self.port = 0

    def bind(self) -> int:
        """Take the address; return the port. Raises OSError when it cannot be had."""
        if not self.port:
            _check_free(self._address)
            try:
                self.port = self._server.add_insecure_port(self._address)
            except RuntimeError as error:
                raise OSError(f"Nothing can listen at {self._address}: {error}.") from error
        return self.port

    async def start(self, registrations: Sequence[Registration] = ()) -> int:
        """Serve these services and those given before; return the port. Raises OSError."""
        self.bind()
        self._registrations.extend(registrations)
        for registration in self._registrations:
            registration.add(registration.servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [registration.service for registration in self._registrations]
        self._server.add_generic_rpc_handlers((Elsewhere(names, self._options.rooms),))
        if self._options.meter is not None:
            begin_counts(self._options.meter, (*names, health.SERVICE_NAME))
        if self._options.reflection:
            reflection.enable_server_reflection(
                (*names, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
            )
        await self._server.start()
        self._is_started = True
        for name in names:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return self.port

    async def drain(self) -> None:
        """Shut down in order; returns when no call is left. A second call waits for the first."""
        await self._health.enter_graceful_shutdown()
        if self._options.propagation_s and not self._draining.is_set():
            await asyncio.sleep(self._options.propagation_s)
        self._draining.set()
        await self._server.stop(self._options.grace_s)

    async def serve_until(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set, then drain. Starts the server when nobody has."""
        if not self._is_started:
            await self.start()
        try:
            await stop.wait()
        finally:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(self.drain())

    def _interceptors(self) -> list[grpc.aio.ServerInterceptor]:
        meter = self._options.meter
        return [
            interceptors.remembered(),
            interceptors.request_ids(),
            *([interceptors.metering(meter)] if meter is not None else []),
            interceptors.deadlines(self._options.unary_cap_s),
            interceptors.error_mapping(),
            interceptors.admission(self._options.admission, lambda: self.port),
            interceptors.sharing(CallShares(self._options.calls_of_one_caller)),
            interceptors.bounded(),
            interceptors.draining_streams(self._draining),
        ]

    def _grpc_options(self) -> list[tuple[str, Any]]:
        return [
            ("grpc.max_receive_message_length", self._options.max_message_bytes),
            ("grpc.max_send_message_length", self._options.max_message_bytes),
            ("grpc.so_reuseport", 0),  # two services on one port is a mistake, not a balance
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.server_handshake_timeout_ms", round(self._options.handshake_s * 1000)),
            ("grpc.max_connection_idle_ms", round(_IDLE_CONNECTION_S * 1000)),
            ("grpc.max_allowed_incoming_connections", _most_connections()),
            *self._options.extra,
        ]


def _most_connections() -> int:
    """Half of the files this process may open: connections never keep it from its own."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_CONNECTIONS if limit < 0 else max(1, min(_MOST_CONNECTIONS, limit // 2))


def _check_free(address: str) -> None:
    """Try the address before gRPC does, which would tell of a failure in its own words first.

    Raises OSError with a sentence and a next step.
    """
    host, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        raise OSError(
            f"{address} names no place to listen at. Give HOST:PORT with a host of this machine."
        ) from error
    family, kind, protocol, _, place = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise OSError(
                    f"Something listens at {address} already. "
                    "Stop it, or name another port with --address."
                ) from error
            raise OSError(f"Nothing can listen at {address}: {error.strerror}.") from error
