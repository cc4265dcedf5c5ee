"""What fills the scratch disk: sizes below a folder, and the report for who must make room."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GIB = float(2**30)
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


@dataclass(frozen=True)
class DiskExhaustionReport:
    """Why the scratch disk ran out, under the names operators' scripts know; sizes in GiB.

    ``projected_need_gb`` is None when nobody projected it.
    """

    folder: str
    free_gb_at_trip: float
    abort_threshold_gb: float
    projected_need_gb: float | None
    bytes_consumed_during_sort: int
    top_consumers: tuple[tuple[str, int], ...]
    suggested_actions: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {
            "folder": self.folder,
            "free_gb_at_trip": round(self.free_gb_at_trip, 3),
            "abort_threshold_gb": round(self.abort_threshold_gb, 3),
            "projected_need_gb": self.projected_need_gb,
            "bytes_consumed_during_sort": self.bytes_consumed_during_sort,
            "top_consumers": [
                {"path": path, "size_gb": round(size / GIB, 3)} for path, size in self.top_consumers
            ],
            "suggested_actions": list(self.suggested_actions),
        }


def suggest_actions(
    usage: FolderUsage, *, free_bytes: float, warn_bytes: float, needed_bytes: float
) -> tuple[str, ...]:
    """Return what would make the next attempt fit, the surest first."""
    actions = []
    if needed_bytes > free_bytes:
        short = (needed_bytes - free_bytes) / GIB
        actions.append(f"give the attempt {short:.1f} GiB more scratch space; it was projected")
    else:
        actions.append(f"keep at least {warn_bytes / GIB:.1f} GiB free on the scratch disk")
    if usage.largest:
        path, size = usage.largest[0]
        actions.append(f"the attempt's largest file is {path} with {size / GIB:.2f} GiB")
    actions.append("put the scratch folder on a larger disk, or sort a shorter window")
    return tuple(actions)
