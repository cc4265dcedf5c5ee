"""A real PostgreSQL server for tests: started once, one fresh database per test.

The server refuses to run as root, so it runs as the system's ``postgres`` (or ``nobody``) user when
the tests do. It dies with the test process, however that ends.
"""

import ctypes
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

_NUMBERS = itertools.count(1)
_PR_SET_PDEATHSIG = 1
_START_TIMEOUT_S = 30.0


def find_binaries() -> Path | None:
    """The newest folder that holds initdb and postgres."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda path: float(path.parent.name) if path.parent.name.isdigit() else 0.0,
        reverse=True,
    )
    both = (f for f in folders if (f / "initdb").is_file() and (f / "postgres").is_file())
    return next(both, None)


@dataclass(frozen=True)
class PostgresServer:
    """A running server that trusts every local connection of its owner."""

    port: int
    owner: str

    def url(self, database: str) -> str:
        """Address of one of its databases."""
        return f"postgresql://{self.owner}@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def fresh_database(self, *, encoding: str = "UTF8") -> Iterator[str]:
        """Give the URL of a new, empty database and drop it afterwards."""
        name = f"test_{os.getpid()}_{next(_NUMBERS)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            like = f"TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
            connection.execute(f"CREATE DATABASE {name} {like}")  # type: ignore[arg-type]
            try:
                yield self.url(name)
            finally:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def _server_user() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_ready(server: PostgresServer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            psycopg.connect(server.url("postgres"), connect_timeout=2).close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}") from error
            time.sleep(0.05)


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """Start a server on an ephemeral port; skip, with the reason, where there is none to start."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("needs PostgreSQL: neither initdb on PATH nor /usr/lib/postgresql/*/bin here")
    user = _server_user()
    if os.geteuid() == 0 and user is None:
        pytest.skip("PostgreSQL refuses to run as root, and there is no other user to run it as")
    identity: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(prefix="spikefleet-postgres-"))
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    owner, data, log = "spikefleet", folder / "data", folder / "log"
    try:
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", owner, "-A", "trust", "-N", "-E", "UTF8"],
            check=True,
            capture_output=True,
            cwd=folder,
            **identity,
        )
        server = PostgresServer(_free_port(), owner)
        settings = {
            "port": server.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": folder,
            # The tests kill clients, never the server: nothing has to survive its crash.
            "fsync": "off",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [binaries / "postgres", "-D", data, *options],
                stdout=sink,
                stderr=sink,
                cwd=folder,
                preexec_fn=_die_with_parent,
                **identity,
            )
        try:
            _wait_until_ready(server, process, log)
            yield server
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=_START_TIMEOUT_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for all tests; each takes its own database."""
    with running_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database."""
    with postgres_server.fresh_database() as url:
        yield url
