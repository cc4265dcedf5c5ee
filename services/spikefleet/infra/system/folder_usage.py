"""What is below a folder: its bytes on disk, and the files and folders that hold them."""

from __future__ import annotations

import heapq
import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CONSUMER_SHARE = 0.03  # of everything below the folder; who holds less fills no disk
_MOST_FILES = 64  # more than fit at that share
_BLOCK_BYTES = 512


@dataclass(frozen=True)
class FolderUsage:
    """Bytes on disk below a folder, and who holds them as (path below it, bytes), largest first.

    ``consumers`` are all files of at least 3 per cent of it, and folders (with a slash at the end)
    whose smaller files make that much together. ``is_complete`` is False when the time given was
    not enough to see everything.
    """

    used_bytes: int
    consumers: tuple[tuple[str, int], ...]
    is_complete: bool


def measure_folder(folder: Path, *, budget_s: float = 5.0) -> FolderUsage:
    """Add up the blocks of every file below ``folder``, for at most ``budget_s`` seconds.

    Links are not followed; what vanishes meanwhile or may not be read is left out.
    """
    deadline_s = time.monotonic() + budget_s
    in_folder, is_complete = Counter[str](), True
    files: list[tuple[int, str]] = []
    folders = [str(folder)]
    while folders:
        if time.monotonic() > deadline_s:
            is_complete = False
            break
        place = folders.pop()
        try:
            entries = list(os.scandir(place))
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                    continue
                size = entry.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES
            except OSError:
                continue
            in_folder[place] += size
            files.append((size, entry.path))
        if len(files) > 100 * _MOST_FILES:
            files = heapq.nlargest(_MOST_FILES, files)
    used = in_folder.total()
    return FolderUsage(used, _consumers(str(folder), used, in_folder, files), is_complete)


def _consumers(
    root: str, used: int, in_folder: Mapping[str, int], files: list[tuple[int, str]]
) -> tuple[tuple[str, int], ...]:
    """Name what holds its share; what is too small by itself counts for the folder around it."""
    least = max(1.0, CONSUMER_SHARE * used)
    found = [(size, path) for size, path in files if size >= least]
    rest = Counter(in_folder)
    for size, path in found:
        rest[os.path.dirname(path)] -= size
    waiting = [(-place.count(os.sep), place) for place in rest]
    heapq.heapify(waiting)
    while waiting:  # the deepest first, so that a folder has all of its own before it is judged
        _, place = heapq.heappop(waiting)
        if place == root or rest[place] >= least:
            continue
        above = os.path.dirname(place)
        if above not in rest:
            heapq.heappush(waiting, (-above.count(os.sep), above))
        rest[above] += rest.pop(place)
    found += [(size, f"{place}{os.sep}") for place, size in rest.items() if size >= least]
    found.sort(key=lambda each: (-each[0], each[1]))
    return tuple((_below(root, path), size) for size, path in found)


def _below(root: str, path: str) -> str:
    told = os.path.relpath(path, root)
    return f"{told}/" if path.endswith(os.sep) else told
