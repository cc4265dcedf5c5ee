"""The scratch folder of a pod on a volume that outlives pods: taken, kept alive, emptied, swept.

A folder is swept only when it carries our mark, nobody holds its lock and it has shown no sign of
life for long: either alone can mislead, since some file systems keep locks to one machine, and a
pod may be held up. All times are those of the volume, so no clock of a machine decides. What bears
no mark is never touched.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
import stat
import threading
from contextlib import suppress
from pathlib import Path

_log = logging.getLogger(__name__)

MARK = ".spikefleet-scratch"
SILENT_S = 3600.0  #: without a sign of life for so long, a folder that nobody locks is dead
SILENT_WITHOUT_LOCKS_S = 86_400.0  #: the same where the file system knows no locks

_WORDS = b"spikefleet scratch 1\n"
_SIGN_EVERY_S = 60.0
_EMPTYING_S = 20.0
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


class PodScratch:
    """One pod's folder ``root/name``. ``stays`` says that the volume outlives the pod."""

    def __init__(self, root: Path, name: str, *, stays: bool) -> None:
        self.folder = root / name
        self._root, self._stays = root, stays
        self._mark = self.folder / MARK
        self._lock: int | None = None
        self._ended = threading.Event()

    def take(self) -> None:
        """Make the folder, and on a volume that stays mark it as one in use.

        Raises OSError; BlockingIOError where another pod has it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._stays:
            return
        self._lock = os.open(self._mark, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.pwrite(self._lock, _WORDS, 0)
        _hold(self._lock)
        threading.Thread(target=self._show_life, name="pod-scratch", daemon=True).start()

    def sweep(self) -> list[str]:
        """Remove what dead pods have left on the volume; return the names of their folders."""
        if self._lock is None:
            return []
        os.utime(self._lock)
        now_s = os.fstat(self._lock).st_mtime
        others = (path for path in sorted(self._root.iterdir()) if path != self.folder)
        swept = [path.name for path in others if _sweep_one(path, now_s)]
        if swept:
            _log.info("scratch.swept", extra={"folders": swept})
        return swept

    def empty(self, within_s: float = _EMPTYING_S) -> None:
        """Remove the folder on a volume that stays, or as much of it as the time allows.

        A pod that is told to end has only its grace period; a later one sweeps the rest.
        """
        self._ended.set()
        if self._lock is None:
            return
        emptying = threading.Thread(target=_remove, args=(self.folder,), daemon=True)
        emptying.start()
        emptying.join(within_s)
        if emptying.is_alive():
            _log.warning("scratch.left", extra={"folder": str(self.folder)})

    def _show_life(self) -> None:
        while self._lock is not None and not self._ended.wait(_SIGN_EVERY_S):
            with suppress(OSError):
                os.utime(self._lock)


def _sweep_one(path: Path, now_s: float) -> bool:
    """Remove a dead pod's folder. False for anything else, and where it cannot be removed."""
    try:
        mark = os.open(path / MARK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False  # no folder, not ours, or gone meanwhile
    try:
        return not path.is_symlink() and _is_dead(mark, now_s) and _remove(path)
    except OSError as error:
        _log.warning("scratch.not_swept", extra={"folder": str(path), "error": str(error)})
        return False
    finally:
        os.close(mark)


def _is_dead(mark: int, now_s: float) -> bool:
    """Whether the mark is ours, free and silent. It stays locked while ``mark`` is open."""
    if not stat.S_ISREG(os.fstat(mark).st_mode) or os.pread(mark, len(_WORDS), 0) != _WORDS:
        return False
    try:
        limit_s = SILENT_S if _hold(mark) else SILENT_WITHOUT_LOCKS_S
    except BlockingIOError:
        return False
    return now_s - os.fstat(mark).st_mtime > limit_s


def _hold(mark: int) -> bool:
    """Lock an open mark. False where the file system knows no locks; BlockingIOError: it is held.

    Raises OSError.
    """
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


def _remove(folder: Path) -> bool:
    """Remove a folder, its mark last, so that what is cut short is still known as ours."""
    try:
        for path in folder.iterdir():
            if path.name != MARK:
                _remove_tree(path)
        (folder / MARK).unlink(missing_ok=True)
        folder.rmdir()
    except OSError as error:
        _log.warning("scratch.not_removed", extra={"folder": str(folder), "error": str(error)})
        return False
    return True


def _remove_tree(path: Path) -> None:
    """Remove a file or a tree; links are not followed. Folders that are closed are opened."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        path.chmod(stat.S_IRWXU)
        for base, names, _ in os.walk(path):
            for name in names:
                below = Path(base, name)
                if not below.is_symlink():
                    below.chmod(stat.S_IRWXU)
        shutil.rmtree(path)
