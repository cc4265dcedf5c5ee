"""A real gRPC server on a free port of this machine with one room in it, called by another room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio

from spikefleet.infra.rpc.access import ROOM_KEY, Admission
from spikefleet.infra.rpc.channels import dial_aio
from spikefleet.infra.rpc.server import Registration, RpcServer, ServerOptions


@asynccontextmanager
async def serving(registration: Registration) -> AsyncIterator[grpc.aio.Channel]:
    """Serve one registration; give a channel to it; stop it afterwards."""
    admission = Admission()
    server = RpcServer("127.0.0.1:0", [registration], ServerOptions(admission=admission))
    port = await server.start()
    credentials = ((ROOM_KEY, admission.room_secret),)
    async with dial_aio(f"127.0.0.1:{port}", deadline_s=120.0, credentials=credentials) as channel:
        try:
            yield channel
        finally:
            await server.drain()
