"""One service per data folder, closed to other users, and where it answers.

``service.lock`` is held for as long as the service lives (the kernel lets go when it dies, however
it dies); ``service.json`` says where it answers. Decides nothing else.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from spikefleet.core.files import read_json, write_json

log = logging.getLogger(__name__)

_OTHERS_WRITE = stat.S_IWOTH
_OTHERS_REACH = stat.S_IRWXG | stat.S_IRWXO


class DataFolderBusyError(RuntimeError):
    """Another service works on this data folder."""


class DataFolderOpenError(RuntimeError):
    """Other users of this machine could change what is in the data folder."""


@dataclass(frozen=True)
class ServiceFile:
    """Where a running service answers."""

    address: str
    metrics_port: int
    pid: int
    version: str


@contextmanager
def claim(data_dir: Path) -> Iterator[None]:
    """Hold the data folder.

    Raises DataFolderBusyError when another service holds it, DataFolderOpenError when it is not
    this user's own.
    """
    make_private(data_dir)
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


def make_private(data_dir: Path) -> None:
    """Make the data folder, for this user alone; of one that was there, judge who reaches it.

    It holds everybody's recordings and results, and code compiled by earlier sorts. A folder that
    others may read stays as its owner made it, and the log says so. Raises DataFolderOpenError when
    others may write to it, or when it is another user's (root serves on anybody's).
    """
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    data_dir.mkdir(mode=0o700, exist_ok=True)
    status = data_dir.stat()
    if status.st_uid != os.geteuid() and os.geteuid() != 0:
        raise DataFolderOpenError(
            f"{data_dir} belongs to another user, who could change every result in it; "
            "choose a --data folder of your own"
        )
    if status.st_mode & _OTHERS_WRITE:
        raise DataFolderOpenError(
            f"every user may write to {data_dir}, and so change every result in it; close it "
            f"(`chmod 700 {data_dir}`), or choose another --data folder"
        )
    if status.st_mode & _OTHERS_REACH:
        mode = f"{stat.S_IMODE(status.st_mode):o}"
        log.warning("data.open_to_others", extra={"folder": str(data_dir), "mode": mode})


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
