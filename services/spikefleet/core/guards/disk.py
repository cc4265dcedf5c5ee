"""Is the scratch disk filling up? Reads the file system's free space; never deletes anything."""

from __future__ import annotations

import math
import os
from pathlib import Path

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure, JsonValue
from spikefleet.core.guards.base import Reading

GIB = float(2**30)
_TOP_CONSUMERS = 10


class DiskUsageWatchdog:
    """Warns at ``warn_free_gb`` and trips at ``abort_free_gb`` GiB free (0 never trips).

    ``folder`` is the attempt's scratch; while it does not exist its nearest parent is read.
    Raises ValueError for thresholds that make no sense.
    """

    name = "disk"

    def __init__(
        self,
        folder: Path,
        *,
        warn_free_gb: float = 5.0,
        abort_free_gb: float = 1.0,
        interval_s: float = 10.0,
    ) -> None:
        thresholds = (warn_free_gb, abort_free_gb)
        if any(not math.isfinite(value) or value < 0 for value in thresholds):
            raise ValueError(f"free space must be a finite number >= 0 GiB, not {thresholds}")
        if warn_free_gb <= abort_free_gb and abort_free_gb > 0:
            raise ValueError(f"warn ({warn_free_gb} GiB) must exceed abort ({abort_free_gb} GiB)")
        self.interval_s = interval_s
        self._folder = folder
        self._warn_bytes, self._abort_bytes = warn_free_gb * GIB, abort_free_gb * GIB
        self._free_at_start: float | None = None

    def read(self, now_s: float) -> Reading:
        """Sample free space. An unreadable file system gives a reading without values."""
        found = _free_and_total_bytes(self._folder)
        if found is None:
            return Reading(self.name)
        free, total = found
        if self._free_at_start is None:
            self._free_at_start = free
        warning = ""
        if free <= self._warn_bytes:
            warning = f"only {free / GIB:.1f} GiB are free under {self._folder}"
        trip = self._trip(free) if self._abort_bytes > 0 and free <= self._abort_bytes else None
        return Reading(self.name, {"free_bytes": free, "total_bytes": total}, warning, trip)

    def _trip(self, free_bytes: float) -> Failure:
        consumed = max(0.0, (self._free_at_start or free_bytes) - free_bytes)
        return Failure(
            FailureCode.DISK_EXHAUSTION,
            f"Only {free_bytes / GIB:.2f} GiB are left on the scratch disk; the sorter was stopped "
            f"at {self._abort_bytes / GIB:.2f} GiB.",
            rule_id="guard.disk",
            evidence={
                "folder": str(self._folder),
                "free_bytes": int(free_bytes),
                "abort_free_bytes": int(self._abort_bytes),
                "consumed_bytes": int(consumed),
                "top_consumers": _top_consumers(self._folder),
            },
        )


def _free_and_total_bytes(folder: Path) -> tuple[float, float] | None:
    """Free (for unprivileged users) and total bytes of the file system that holds ``folder``."""
    for place in (folder, *folder.parents):
        try:
            status = os.statvfs(place)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        return float(status.f_bavail * status.f_frsize), float(status.f_blocks * status.f_frsize)
    return None


def _top_consumers(folder: Path) -> list[JsonValue]:
    """The largest files below ``folder``, for the operator who must free space."""
    sizes: list[tuple[int, str]] = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            try:
                sizes.append((path.lstat().st_size, str(path.relative_to(folder))))
            except OSError:  # gone meanwhile
                continue
    largest = sorted(sizes, reverse=True)[:_TOP_CONSUMERS]
    return [{"path": path, "size_bytes": size} for size, path in largest]
