"""One service per data folder, and where it answers.

``service.lock`` is held for as long as the service lives (the kernel lets go when it dies, however
it dies); ``service.json`` says where it answers. Decides nothing else.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from spikefleet.core.attempts import read_json, write_json


class DataFolderBusyError(RuntimeError):
    """Another service works on this data folder."""


@dataclass(frozen=True)
class ServiceFile:
    """Where a running service answers."""

    address: str
    metrics_port: int
    pid: int
    version: str


@contextmanager
def claim(data_dir: Path) -> Iterator[None]:
    """Hold the data folder. Raises DataFolderBusyError when another service holds it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "service.lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            found = read_service_file(data_dir)
            where = f" at {found.address} (process {found.pid})" if found else ""
            raise DataFolderBusyError(
                f"another spikefleet service{where} works on {data_dir}; "
                "use that one, stop it, or choose another --data folder"
            ) from error
        yield


def announce(data_dir: Path, *, address: str, metrics_port: int, version: str) -> ServiceFile:
    """Write where this process answers."""
    service = ServiceFile(address, metrics_port, os.getpid(), version)
    write_json(data_dir / "service.json", asdict(service))
    return service


def withdraw(data_dir: Path) -> None:
    """Remove the announcement on an orderly end."""
    (data_dir / "service.json").unlink(missing_ok=True)


def read_service_file(data_dir: Path) -> ServiceFile | None:
    """Return where the last service on this folder answers or answered; None when unknown."""
    document = read_json(data_dir / "service.json")
    try:
        return ServiceFile(**document) if document else None
    except TypeError:
        return None
