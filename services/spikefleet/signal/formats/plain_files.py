"""Whether what is at a path is made of plain files: nothing a reader could wait for or be led by.

A FIFO makes whoever opens it wait for ever, a device gives bytes without end, and a link may lead
anywhere. Asked once, where a recording is found, so that no reader has to. Opens nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from spikefleet.signal.formats.reader_errors import corrupt

_KERNELS = tuple(Path(name) for name in ("/proc", "/sys", "/dev"))
_SPECIAL = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def require_plain_files(path: Path) -> None:
    """Check the file, with those of its name, or everything below the folder at ``path``.

    A link is followed to what it leads to: a runner's own folder of inputs is made of links.

    Raises:
        InputCorruptError: ``unsafe``: a FIFO, a socket, a device, or a file of the kernel's.
    """
    for entry in _entries(path):
        try:
            kind = stat.S_IFMT(entry.stat().st_mode)
        except OSError:
            continue  # a link that leads nowhere is a missing file, which its reader tells
        if kind in _SPECIAL:
            raise corrupt(path, "unsafe", f"{entry.name} is {_SPECIAL[kind]}, and no file.")
        if entry.is_symlink() and _is_of_kernel(entry.resolve()):
            raise corrupt(path, "unsafe", f"{entry.name} is a link to the system's own files.")


def require_no_way_out(path: Path) -> None:
    """Check that no link below the folder at ``path`` leads out of it, but into git-annex's store.

    For a recording as somebody has it; what a service has taken in was asked before.

    Raises:
        InputCorruptError: ``unsafe``.
    """
    inside = path.resolve() if path.is_dir() else path.resolve().parent
    for entry in _entries(path):
        if not entry.is_symlink() or not entry.exists() or entry == path:
            continue
        target = entry.resolve()
        if not target.is_relative_to(inside) and not is_annexed(inside, target):
            raise corrupt(
                path,
                "unsafe",
                f"{entry.name} is a link to {target}, which is not part of the recording.",
                "Put the file itself in the link's place.",
            )


def is_annexed(root: Path, target: Path) -> bool:
    """Say whether this is content of the git-annex repository that the recording is in."""
    stores = (place / ".git" / "annex" / "objects" for place in (root, *root.parents))
    return any(target.is_relative_to(store) for store in stores)


def _entries(path: Path) -> Iterator[Path]:
    """What is not a plain file for certain: links and special files, and ``path`` itself."""
    if not path.is_dir():
        yield path
        stem = path.name.partition(".")[0]
        yield from (entry for entry in _irregular(path.parent) if entry.name.startswith(stem))
        return
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        yield from _irregular(folder)
        try:
            with os.scandir(folder) as entries:
                waiting += [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
        except OSError:
            continue


def _irregular(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [
                Path(entry.path)
                for entry in entries
                if not entry.is_file(follow_symlinks=False)
                and not entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []  # it cannot be listed; whoever reads it says so


def _is_of_kernel(path: Path) -> bool:
    return any(path.is_relative_to(place) for place in _KERNELS)
