"""A service of one's own: started as a child process, ready when this returns, gone at the end.

For notebooks, the demo and tests. Always a process, never a thread: an interactive session can be
interrupted or die without leaving half a service behind, and a sort never shares its memory.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from spikefleet.deploy.service_file import ServiceFile, make_private, read_service_file
from spikefleet.deploy.settings import base_environment

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 60.0


class ServiceStartError(RuntimeError):
    """The service did not come up; the message ends with the last lines of its log."""


def start_service(data_dir: Path, arguments: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """Start ``spikefleet serve`` on ``data_dir`` and a free port; its log is ``service.log``.

    It ends in order when this process is gone, however that ended: its standard input is ours.
    """
    make_private(data_dir)
    command = [
        sys.executable,
        "-m",
        "spikefleet.cli.main",
        "serve",
        "--address",
        "127.0.0.1:0",
        "--data",
        str(data_dir),
        "--until-input-ends",
        *arguments,
    ]
    with (data_dir / "service.log").open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=base_environment(),
            start_new_session=True,
        )


def wait_until_ready(process: subprocess.Popen[bytes], data_dir: Path) -> ServiceFile:
    """Return where the service answers, once it does. Raises ServiceStartError."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        service = read_service_file(data_dir)
        if service is not None and service.pid == process.pid and _answers(service.address):
            return service
        time.sleep(0.1)
    process.terminate()
    log = data_dir / "service.log"
    tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    raise ServiceStartError(f"the service did not start; its log {log} ends with:\n{tail}")


def stop_service(process: subprocess.Popen[bytes]) -> int:
    """End the service in order (SIGTERM), by force after a minute; return its exit code."""
    process.terminate()
    try:
        return process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@contextmanager
def running_service(data_dir: Path, arguments: Sequence[str] = ()) -> Iterator[ServiceFile]:
    """Run a service for the length of a ``with`` block."""
    process = start_service(data_dir, arguments)
    try:
        yield wait_until_ready(process, data_dir)
    finally:
        stop_service(process)


def _answers(address: str) -> bool:
    """Say whether something listens there.

    Not a gRPC channel's own wait: a signal that interrupts it leaves a thread behind that the
    interpreter waits for at its end, for ever.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=2.0).close()
    except OSError:
        return False
    return True
