"""A real gRPC server in a thread of its own, at a free port, for as long as a test needs it."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from spikefleet.infra.rpc.server import Registration, RpcServer, ServerOptions

ROOM = "the rooms' secret of every server in a test"
Make = Callable[[str], Sequence[Registration]]


class Serving:
    """``address`` answers between ``start`` and ``stop``; ``stop`` drains as the service does."""

    def __init__(self, make: Make, options: ServerOptions | None = None, port: int = 0) -> None:
        self._make = make
        options = options or ServerOptions(grace_s=2.0)
        self._options = replace(options, admission=replace(options.admission, room_secret=ROOM))
        self._wanted_port = port
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> "Serving":
        self._thread.start()
        assert self._ready.wait(10), "the server did not start"
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(15)
        assert not self._thread.is_alive(), "the server did not stop"

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = RpcServer(f"127.0.0.1:{self._wanted_port}", (), self._options)
        self.port = server.bind()
        await server.start(self._make(self.address))
        self._ready.set()
        await server.serve_until(self._stop)


@contextmanager
def serving(make: Make, options: ServerOptions | None = None, port: int = 0) -> Iterator[Serving]:
    """Serve what ``make(address)`` returns for the length of a ``with`` block."""
    server = Serving(make, options, port).start()
    try:
        yield server
    finally:
        if server._thread.is_alive():
            server.stop()


def write_bytes_file(path: Path, size_bytes: int, seed: int = 1) -> Path:
    """Write a file whose every byte depends on ``seed``, without the science stack."""
    block = bytes((seed * 31 + i * 7 + i // 256) % 256 for i in range(65536))
    with path.open("wb") as handle:
        left = size_bytes
        while left > 0:
            handle.write(block[: min(left, len(block))])
            left -= len(block)
            block = block[1:] + block[:1]
    return path
