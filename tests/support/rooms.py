"""A real gRPC server on a free port of this machine with one room in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio

from spikefleet.infra.rpc.server import Registration, RpcServer


@asynccontextmanager
async def serving(registration: Registration) -> AsyncIterator[grpc.aio.Channel]:
    """Serve one registration; give a channel to it; stop it afterwards."""
    server = RpcServer("127.0.0.1:0", [registration])
    port = await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            yield channel
        finally:
            await server.drain()
