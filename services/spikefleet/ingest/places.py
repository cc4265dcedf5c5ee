"""Which files of this machine a caller may have read where they are.

Under the operator's roots, where some were declared; otherwise only what the caller is who runs the
service, and may read it anyway. Regular files only, nothing of the kernel's own file systems, and
no link that leads out of the recording. Everything is resolved once, and what was resolved is what
is stored and read later.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spikefleet.infra.rpc.access import Caller
from spikefleet.infra.rpc.bounds import MOST_FILES
from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.signal.formats.plain_files import is_annexed

_KERNELS = tuple(Path(name) for name in ("/proc", "/sys", "/dev", "/run"))
_REMOVABLE = Path("/run/media")  # where desktops mount a disk that was plugged in
_LONGEST_PATH_BYTES = 4096
_SPECIAL = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class RecordingRoots:
    """Where recordings may be; ``roots`` empty: nothing was declared."""

    roots: tuple[Path, ...] = ()

    def resolve(self, path: str, caller: Caller) -> Path:
        """Return the place that ``path`` names, which need not exist.

        Raises RpcProblem INVALID_ARGUMENT, PATH_NOT_ALLOWED (told before anything is looked at
        that the caller might not see himself), PATH_REFUSED.
        """
        if not path.startswith("/") or "\0" in path:
            raise RpcProblem("INVALID_ARGUMENT", f"{path[:200]!r} is not absolute", field="path")
        if len(path.encode("utf-8", "surrogateescape")) > _LONGEST_PATH_BYTES:
            raise RpcProblem("INVALID_ARGUMENT", "path is longer than any is here", field="path")
        if not self.roots and not caller.is_operator:
            raise RpcProblem(
                "PATH_NOT_ALLOWED",
                "no folder for recordings in place is declared, so only the user who runs the "
                "service may register there",
                field="path",
            )
        try:
            resolved = Path(path).resolve()
        except (OSError, RuntimeError) as error:
            raise RpcProblem(
                "PATH_NOT_VISIBLE", f"{path} cannot be followed: {error}", field="path"
            ) from error
        if self.roots and not self._is_declared(resolved):
            raise RpcProblem(
                "PATH_NOT_ALLOWED",
                f"{path} is in none of the folders for recordings in place "
                f"({', '.join(map(str, self.roots))})",
                field="path",
            )
        self._require_plain(resolved)
        return resolved

    def require_inside(self, root: Path, files: Sequence[Path]) -> None:
        """Refuse what a reader could be led out of the folder ``root`` by, or could wait for.

        Links to files of the same git-annex repository and into the declared roots are followed.
        Raises RpcProblem PATH_REFUSED, INVALID_ARGUMENT for more than 100 000 files.
        """
        if len(files) > MOST_FILES:
            raise RpcProblem(
                "INVALID_ARGUMENT",
                f"{root} holds more than {MOST_FILES} files; name the recording in it",
                field="path",
            )
        for file in files:
            self._require_plain(file)
            if file.is_symlink() or not file.is_relative_to(root):
                self._require_kept(root, file)

    @contextmanager
    def opened(self, root: Path, file: Path) -> Iterator[Path]:
        """Hold a file open; give a path that leads to that very file, whatever is put in its place.

        A name that was checked may lead elsewhere when it is opened: what was opened counts.
        Raises OSError, RpcProblem PATH_REFUSED.
        """
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            same = Path(f"/proc/self/fd/{descriptor}")
            target = Path(os.readlink(same))
            inside = target.is_relative_to(root) or self._is_declared(target)
            if not (inside or is_annexed(root, target)):
                raise RpcProblem(
                    "PATH_REFUSED", f"{file} was replaced while it was registered", field="path"
                )
            yield same
        finally:
            os.close(descriptor)

    def require_no_traps(self, folder: Path) -> None:
        """Refuse a folder that holds a FIFO, a device or a link elsewhere. Raises RpcProblem."""
        for parent, folders, files in os.walk(folder):
            for name in (*folders, *files):
                entry = Path(parent, name)
                if entry.is_symlink():
                    if entry.exists():  # one that leads nowhere is a missing file, which is told
                        self._require_kept(folder, entry)
                elif name in files:
                    self._require_plain(entry)

    def _is_declared(self, path: Path) -> bool:
        return any(path.is_relative_to(root) for root in self.roots)

    def _require_kept(self, root: Path, file: Path) -> None:
        """Refuse a link out of the recording."""
        target = file.resolve()
        self._require_plain(target)
        if target.is_relative_to(root) or self._is_declared(target) or is_annexed(root, target):
            return
        raise RpcProblem(
            "PATH_REFUSED",
            f"{file.relative_to(root)} is a link to {target}, which is not part of the recording",
            field="path",
        )

    def _require_plain(self, path: Path) -> None:
        """Refuse the kernel's own places and what is neither file nor folder."""
        inside = any(path.is_relative_to(place) for place in _KERNELS)
        if (inside and not path.is_relative_to(_REMOVABLE)) or _is_of_kernel(path):
            raise RpcProblem(
                "PATH_REFUSED", f"{path} belongs to the system and is not a recording", field="path"
            )
        try:
            kind = stat.S_IFMT(path.stat().st_mode)
        except OSError:
            return  # nothing is there, or nothing that we may see; whoever reads it says so
        if kind in _SPECIAL:
            raise RpcProblem(
                "PATH_REFUSED", f"{path} is {_SPECIAL[kind]} and no recording", field="path"
            )


def _is_of_kernel(path: Path) -> bool:
    """Say whether this is /proc or /sys, mounted at some other place."""
    try:
        device = path.stat().st_dev
    except OSError:
        return False
    return any(place.is_dir() and place.stat().st_dev == device for place in _KERNELS[:2])
