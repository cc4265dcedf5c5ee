"""Processes of this machine: who they are, who belongs to an attempt, and how all of it ends.

A pid alone identifies no process, since pids are reused: a process is its pid, its start time and
the boot. Nothing here decides *when* to kill.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

MARK = "_SPIKEFLEET_ATTEMPT"
_PROC = Path("/proc")
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class ProcessIdentity:
    """One process for ever: ``start_time`` is in kernel ticks since ``boot_id``'s boot."""

    pid: int
    start_time: float
    boot_id: str

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> ProcessIdentity | None:
        """Read what ``to_json`` wrote; None when it names no process."""
        if not document or not isinstance(document.get("pid"), int):
            return None
        try:
            start_time = float(document["start_time"])
        except (KeyError, TypeError, ValueError):
            return None
        return cls(document["pid"], start_time, str(document.get("boot_id", "")))


def identify(pid: int) -> ProcessIdentity | None:
    """Return who ``pid`` is now; None when there is no such process or it is only a zombie."""
    fields = _stat(pid)
    if fields is not None:
        if fields[0] in "ZX":
            return None
        return ProcessIdentity(pid, float(fields[19]), _boot_id())
    if _PROC.joinpath("self/stat").exists():
        return None
    try:  # not Linux
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return ProcessIdentity(pid, process.create_time(), "")
    except psutil.Error:
        return None


def identify_self() -> ProcessIdentity:
    """Return who we are. Raises RuntimeError where the system does not say."""
    identity = identify(os.getpid())
    if identity is None:
        raise RuntimeError("this machine does not tell a process who it is")
    return identity


def identify_child(pid: int) -> ProcessIdentity:
    """Return who our own child is; one that ended already gets an identity nobody can have."""
    return identify(pid) or ProcessIdentity(pid, -1.0, _boot_id())


def is_alive(identity: ProcessIdentity | None) -> bool:
    """Is this very process still running?"""
    return identity is not None and identify(identity.pid) == identity


def find_command(command: Iterable[str]) -> ProcessIdentity | None:
    """Return the process that was started with exactly these arguments, if one runs."""
    wanted = list(command)
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == wanted:
            return identify(process.pid)
    return None


def session_members(session_id: int) -> list[int]:
    """Pids of the live processes in a session, its leader included."""
    members = []
    for pid in psutil.pids():
        with suppress(OSError):
            if os.getsid(pid) == session_id and identify(pid) is not None:
                members.append(pid)
    return members


def marked_members(mark: str) -> list[int]:
    """Pids of the live processes whose environment carries the attempt's mark."""
    members = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and identify(process.pid) is not None:
                members.append(process.pid)
    return members


def descendants(pid: int) -> list[int]:
    """Pids of the live processes below ``pid``."""
    try:
        found = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
    return [process.pid for process in found if identify(process.pid) is not None]


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each; those that ended meanwhile do not matter."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def adopt_orphans() -> None:
    """Make this process the one that orphaned descendants fall to, so that none escapes it.

    Linux only; elsewhere a no-op.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap(pids: Iterable[int]) -> None:
    """Collect the exit status of adopted orphans, so that no zombie stays."""
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat after the command's name; None when there is no such file."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _boot_id() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
