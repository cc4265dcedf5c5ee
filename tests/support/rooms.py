"""A real gRPC server on a free port of this machine with one room in it, called by another room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio

from spikefleet.infra.rpc.access import ROOM_KEY, Admission
from spikefleet.infra.rpc.server import Registration, RpcServer, ServerOptions


class _AsRoom(grpc.aio.UnaryUnaryClientInterceptor):
    """Gives every call the secret of this server's rooms, and a deadline."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def intercept_unary_unary(self, continuation, client_call_details, request):
        metadata = grpc.aio.Metadata((ROOM_KEY, self._secret))
        details = client_call_details._replace(timeout=120.0, metadata=metadata)
        return await continuation(details, request)


@asynccontextmanager
async def serving(registration: Registration) -> AsyncIterator[grpc.aio.Channel]:
    """Serve one registration; give a channel to it; stop it afterwards."""
    admission = Admission()
    server = RpcServer("127.0.0.1:0", [registration], ServerOptions(admission=admission))
    port = await server.start()
    as_room = _AsRoom(admission.room_secret)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[as_room]) as channel:
        try:
            yield channel
        finally:
            await server.drain()
