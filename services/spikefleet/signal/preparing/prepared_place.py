"""The folder prepared copies are kept in: who may write or use one, and which are removed.

Every attempt that uses a copy holds its claim (a lock on a file beside it) until it ends, however
it ends: the kernel drops the locks of a process that is killed. One process writes a copy at a
time; nobody removes one in use. Knows names, sizes and ages; never looks into a copy.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

# A copy whose sort did not succeed waits this long for the retry.
KEEP_S = 24 * 3600.0
# Copies whose sort succeeded may fill this share of what is free: they only save time.
DONE_SHARE = 0.1
_PREFIX, _LOCK, _DONE = "prepared-", ".lock", ".done"
_PLACE, _DIGEST_CHARACTERS = "recording-", 16
_LOOK_AGAIN_S = 0.2
_SAY_AGAIN_S = 20.0


@dataclass
class Claim:
    """The right to a copy, held by an open lock. Released when the process ends, at the latest."""

    place: PreparedPlace
    name: str
    _lock: int

    @property
    def folder(self) -> Path:
        """Where the copy is or will be."""
        return self.place.root / self.name

    def share(self) -> None:
        """Let others use the copy as well, now that it is written."""
        self.place.mark_used(self.name)  # whoever meant to remove it sees that it was used since
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def release(self, *, succeeded: bool = False) -> None:
        """Let go of the copy. After a success it may go as soon as its room is wanted."""
        if self._lock < 0:
            return
        if succeeded:
            self.folder.with_name(self.name + _DONE).touch()
        os.close(self._lock)
        self._lock = -1


@dataclass(frozen=True)
class PreparedPlace:
    """A folder of prepared copies of one recording, shared by the processes of one machine."""

    root: Path

    def use(
        self, name: str, is_complete: Callable[[], bool], on_wait: Callable[[], None] | None = None
    ) -> tuple[Claim, bool]:
        """Claim the copy ``name``; return the claim and whether its holder has to write the copy.

        A complete copy is shared at once. Otherwise the claim is exclusive until ``share``;
        ``on_wait`` is called now and then while another process writes it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        said_at = time.monotonic()
        while True:
            lock = self._open(name)
            is_mine = _try(lock, fcntl.LOCK_EX)
            if (is_mine or _try(lock, fcntl.LOCK_SH)) and self._is_current(lock, name):
                claim = Claim(self, name, lock)
                if is_mine and not is_complete():
                    self.mark_used(name)
                    return claim, True
                claim.share()
                if is_complete() and self._is_current(lock, name):
                    return claim, False
            os.close(lock)
            if on_wait is not None and time.monotonic() - said_at > _SAY_AGAIN_S:
                said_at = time.monotonic()
                on_wait()
            time.sleep(_LOOK_AGAIN_S)

    def mark_used(self, name: str) -> None:
        """Note that the copy is wanted now; called by whoever holds it."""
        self._mark(name).unlink(missing_ok=True)
        os.utime(self._lock_file(name))

    def unused(self) -> list[tuple[float, str]]:
        """(last use, name) of copies and leftovers that no process holds, the oldest use first."""
        if not self.root.is_dir():
            return []
        names = {
            path.name.removesuffix(_LOCK).removesuffix(_DONE).lstrip(".").removesuffix(".partial")
            for path in self.root.iterdir()
        }
        known = [name for name in names if name.startswith(_PREFIX) and not self._is_held(name)]
        return sorted((self._used_at(name), name) for name in known)

    def _is_held(self, name: str) -> bool:
        with self._alone(name) as alone:
            return not alone

    def remove(self, name: str, used_at: float) -> None:
        """Remove a copy that nobody holds and nobody used since ``used_at``."""
        with self._alone(name) as alone:
            if not alone or self._used_at(name) != used_at:
                return
            self._mark(name).unlink(missing_ok=True)
            for path in (self.root / name, self.root / f".{name}.partial"):
                shutil.rmtree(path, ignore_errors=True)
            self._lock_file(name).unlink(missing_ok=True)

    @contextmanager
    def _alone(self, name: str) -> Iterator[bool]:
        """Hold the copy exclusively if nobody else does; say whether."""
        lock = self._open(name)
        try:
            yield _try(lock, fcntl.LOCK_EX) and self._is_current(lock, name)
        finally:
            os.close(lock)

    def _open(self, name: str) -> int:
        return os.open(self._lock_file(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def _is_current(self, lock: int, name: str) -> bool:
        """Whether the lock is still that of the name, not of a file removed meanwhile."""
        try:
            return os.path.samestat(os.fstat(lock), self._lock_file(name).stat())
        except FileNotFoundError:
            return False

    def _used_at(self, name: str) -> float:
        try:
            return self._lock_file(name).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def size_bytes(self, name: str) -> int:
        """Bytes on disk of one copy."""
        found = (self.root / name).rglob("*")
        return sum(path.stat().st_size for path in found if path.is_file())

    def _lock_file(self, name: str) -> Path:
        return self.root / f"{name}{_LOCK}"

    def is_done(self, name: str) -> bool:
        """Whether the sort the copy was made for has succeeded."""
        return self._mark(name).exists()

    def _mark(self, name: str) -> Path:
        return self.root / f"{name}{_DONE}"


@dataclass(frozen=True)
class PreparedCopies:
    """All prepared copies of a machine: a place for each recording, below one folder.

    A sorter may write to its own recording's place only, so that what a stranger's file does to it
    reaches no other recording. Removing is the business of processes that read none.
    """

    root: Path

    def place(self, recording_digest: str) -> PreparedPlace:
        """The place of the recording with these bytes."""
        return PreparedPlace(self.root / f"{_PLACE}{recording_digest[:_DIGEST_CHARACTERS]}")

    def make_room(self, wanted_bytes: int) -> None:
        """Remove copies nobody uses, the longest unused first, until ``wanted_bytes`` are free."""
        for used_at, name, place in self._unused():
            if shutil.disk_usage(self.root).free >= wanted_bytes:
                return
            place.remove(name, used_at)

    def tidy(self, *, now: float | None = None) -> None:
        """Remove what nobody will use: old copies, and done ones beyond their share of the disk."""
        if not self.root.is_dir():
            return
        now = time.time() if now is None else now
        done_bytes = 0
        most_bytes = DONE_SHARE * shutil.disk_usage(self.root).free
        for used_at, name, place in reversed(self._unused()):
            is_done = place.is_done(name)
            done_bytes += place.size_bytes(name) if is_done else 0
            if now - used_at > KEEP_S or (is_done and done_bytes > most_bytes):
                place.remove(name, used_at)
        self._drop_empty(now)

    def _unused(self) -> list[tuple[float, str, PreparedPlace]]:
        found = [
            (used_at, name, place) for place in self._places() for used_at, name in place.unused()
        ]
        return sorted(found, key=lambda entry: entry[:2])

    def _places(self) -> list[PreparedPlace]:
        """Every recording's place, and the folder itself, where older versions kept theirs."""
        if not self.root.is_dir():
            return []
        folders = [path for path in self.root.iterdir() if path.name.startswith(_PLACE)]
        return [PreparedPlace(path) for path in (self.root, *folders) if not path.is_symlink()]

    def _drop_empty(self, now: float) -> None:
        """Remove places nobody has used for long; one just made is somebody's in a moment."""
        for place in self._places():
            if place.root != self.root and now - place.root.stat().st_mtime > KEEP_S:
                with suppress(OSError):  # a copy is in it
                    place.root.rmdir()


def _try(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
