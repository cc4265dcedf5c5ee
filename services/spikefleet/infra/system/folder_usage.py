"""What is below a folder: its bytes on disk, and its largest files."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

TOP_CONSUMERS = 10
_BLOCK_BYTES = 512


@dataclass(frozen=True)
class FolderUsage:
    """Bytes on disk below a folder, and its largest files as (path below it, bytes).

    ``is_complete`` is False when the time given was not enough to see everything.
    """

    used_bytes: int
    largest: tuple[tuple[str, int], ...]
    is_complete: bool


def measure_folder(folder: Path, *, budget_s: float = 5.0) -> FolderUsage:
    """Add up the blocks of every file below ``folder``, for at most ``budget_s`` seconds.

    Links are not followed; what vanishes meanwhile or may not be read is left out.
    """
    deadline_s = time.monotonic() + budget_s
    used, sizes, is_complete = 0, list[tuple[int, str]](), True
    folders = [str(folder)]
    while folders:
        if time.monotonic() > deadline_s:
            is_complete = False
            break
        try:
            entries = list(os.scandir(folders.pop()))
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
            used += size
            sizes.append((size, entry.path))
        if len(sizes) > 100 * TOP_CONSUMERS:
            sizes = sorted(sizes, reverse=True)[:TOP_CONSUMERS]
    largest = sorted(sizes, reverse=True)[:TOP_CONSUMERS]
    named = tuple((os.path.relpath(path, folder), size) for size, path in largest)
    return FolderUsage(used, named, is_complete)
