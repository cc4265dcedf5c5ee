"""Somebody else on this machine: connections that another user's process makes.

``python strangers.py UID HOST:PORT`` passes bytes on as that user; it needs nothing but the
standard library, so that the other user need not read this project.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

STRANGER_UID = 12345
OTHER_UID = 23456


@contextmanager
def as_user(uid: int, address: str) -> Iterator[str]:
    """Give an address whose connections reach ``address`` as the user ``uid``."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user; this is not root")
    with open(__file__, encoding="utf-8") as source:
        code = source.read().replace("import pytest\n", "")
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", code, str(uid), address],
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port, "the other user's process did not start"
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def _relay(host: str, port: int) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(host, port)
        await asyncio.gather(_pass_on(reader, there_writer), _pass_on(there_reader, writer))

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    os.setgroups([])
    os.setgid(int(sys.argv[1]))
    os.setuid(int(sys.argv[1]))
    target_host, _, target_port = sys.argv[2].rpartition(":")
    asyncio.run(_relay(target_host, int(target_port)))
