"""What a launched attempt leaves on disk for a launcher that has forgotten everything: its folder.

``launch.json`` says who was started and on which slot, ``stop.json`` when it must be gone,
``exit.json`` how it ended when that could be collected. The other files are the runner's.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikefleet.core.attempts import RunFolder
from spikefleet.core.files import read_json, write_json
from spikefleet.core.runs import LogPart
from spikefleet.infra.launchers.processes import ProcessIdentity

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_TRASH = ".trash-"
_MESSAGE_BYTES = 4096


@dataclass(frozen=True)
class Launch:
    """What is known of a start. ``process`` is None between the intention and the start."""

    process: ProcessIdentity | None
    command: tuple[str, ...]
    is_gpu: bool
    gpu_id: str
    oom_kills: int | None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {
            "process": self.process.to_json() if self.process else None,
            "command": list(self.command),
            "is_gpu": self.is_gpu,
            "gpu_id": self.gpu_id,
            "oom_kills": self.oom_kills,
            "at": time.time(),
        }


@dataclass(frozen=True)
class AttemptFolder:
    """One attempt's folder as the launcher sees it."""

    root: Path

    @property
    def name(self) -> str:
        """The attempt's name."""
        return self.root.name

    @property
    def run(self) -> RunFolder:
        """The same folder as the runner sees it."""
        return RunFolder(self.root)

    @property
    def log(self) -> Path:
        """Standard output and error of the runner's parent."""
        return self.root / "parent.log"

    def write_launch(self, launch: Launch) -> None:
        """Note the intention, and later who was started."""
        write_json(self.root / "launch.json", launch.to_json())

    def read_launch(self) -> Launch | None:
        """Return what is known of the start; None when there was none."""
        document = read_json(self.root / "launch.json")
        if document is None:
            return None
        return Launch(
            process=ProcessIdentity.from_json(document.get("process")),
            command=tuple(document.get("command", ())),
            is_gpu=bool(document.get("is_gpu")),
            gpu_id=str(document.get("gpu_id", "")),
            oom_kills=document.get("oom_kills"),
        )

    def started(self) -> ProcessIdentity | None:
        """Who the runner's parent says it is."""
        return ProcessIdentity.from_json(read_json(self.run.started))

    def child(self) -> ProcessIdentity | None:
        """Who the runner's child is or was; its pid is its session and process group."""
        return ProcessIdentity.from_json(read_json(self.run.child_started))

    def write_stop(self, kill_at: float) -> None:
        """Note when patience ends (seconds since the epoch); an earlier note stands."""
        earlier = self.kill_at()
        if earlier is None or kill_at < earlier:
            write_json(self.root / "stop.json", {"kill_at": kill_at})

    def kill_at(self) -> float | None:
        """When patience ends; None while nobody asked for a stop."""
        document = read_json(self.root / "stop.json") or {}
        value = document.get("kill_at")
        return float(value) if isinstance(value, int | float) else None

    def write_exit(self, exit_code: int | None, signal: int | None, *, oom_killed: bool) -> None:
        """Note how the parent ended, once collected: it cannot be collected twice."""
        document = {"exit_code": exit_code, "signal": signal, "oom_killed": oom_killed}
        write_json(self.root / "exit.json", document)

    def read_exit(self) -> Mapping[str, Any] | None:
        """How the parent ended; None when nobody could collect it."""
        return read_json(self.root / "exit.json")

    def termination_message(self) -> str:
        """The runner's short message; empty when there is none."""
        try:
            data = self.run.termination_message.read_bytes()
        except OSError:
            return ""
        return data[:_MESSAGE_BYTES].decode("utf-8", errors="replace")

    def read_log(self, offset: int, most_bytes: int) -> LogPart | None:
        """Return a part of the child's log; None when there is none, or something else is there.

        The sorter may write what it likes in this folder: links are not followed.
        """
        try:
            handle = os.open(self.run.child_log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                return None
            start = LogPart.start_of(offset, status.st_size)
            return LogPart(os.pread(handle, most_bytes, start), start, status.st_size)
        finally:
            os.close(handle)

    def remove(self) -> None:
        """Remove everything; a removal cut short is finished by ``sweep``."""
        trash = self.root.with_name(f"{_TRASH}{self.name}")
        shutil.rmtree(trash, ignore_errors=True)
        with suppress(FileNotFoundError):
            self.root.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)


def folder_of(root: Path, name: str) -> AttemptFolder:
    """The folder of attempt ``name``. Raises ValueError for a name that is not a file name."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name an attempt: letters, digits, dots and dashes only")
    return AttemptFolder(root / name)


def list_folders(root: Path) -> list[AttemptFolder]:
    """Every folder under ``root`` that an attempt may have, by name."""
    return [
        AttemptFolder(path)
        for path in sorted(root.iterdir())
        if path.is_dir() and _NAME.fullmatch(path.name)
    ]


def sweep(root: Path) -> None:
    """Finish removals that were cut short."""
    for path in root.glob(f"{_TRASH}*"):
        shutil.rmtree(path, ignore_errors=True)
