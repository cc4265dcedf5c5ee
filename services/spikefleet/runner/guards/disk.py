"""Is the scratch disk filling up? It reads free space and our own share; never deletes anything."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.failures.evidence_rows import DiskExhaustionEvidence
from spikefleet.core.guards.base import Reading
from spikefleet.core.text import GIB
from spikefleet.infra.system.folder_usage import FolderUsage, measure_folder
from spikefleet.runner.guards.disk_report import DiskExhaustionReport, next_step_of
from spikefleet.runner.guards.samples import Latch, SampleWindow

# A volume with a size limit is taken away whole, without a signal, by whoever counts its bytes.
LIMIT_WARN_RATIO = 0.8
LIMIT_ABORT_RATIO = 0.9
_FEW_INODES = 0.01
_HURRY = 20
_NEEDED, _WINDOW = 2, 3


@dataclass(frozen=True)
class ScratchBudget:
    """What the attempt was given and was expected to need, in bytes; 0 = nobody said.

    ``limit_bytes`` is the size limit of the volume or container, which statvfs does not show.
    """

    limit_bytes: int = 0
    projected_bytes: int = 0


@dataclass(frozen=True)
class _Room:
    """A place that fills up: what is free in it, and where that becomes too little, in bytes."""

    free_bytes: float
    warn_bytes: float
    abort_bytes: float
    place: str
    limit_bytes: int = 0  # of a place that is the attempt's alone


class DiskUsageWatchdog:
    """Warns at ``warn_free_gb`` and trips at ``abort_free_gb`` GiB free (0 never trips).

    These are marks of the file system, which others fill too. A limit of the budget is ours alone:
    it warns at 80 % and trips at 90 % of itself, however small it is. Whichever is nearer to its
    end counts. Two of three samples decide; near the marks it looks twenty times as often.
    ``folder`` is the attempt's scratch; while it does not exist its nearest parent is read. Raises
    ValueError for thresholds that make no sense.
    """

    name = "disk"

    def __init__(
        self,
        folder: Path,
        *,
        warn_free_gb: float = 5.0,
        abort_free_gb: float = 1.0,
        interval_s: float = 10.0,
        budget: ScratchBudget | None = None,
    ) -> None:
        marks = (warn_free_gb, abort_free_gb)
        if any(not math.isfinite(value) or value < 0 for value in marks):
            raise ValueError(f"free space must be a finite number >= 0 GiB, not {marks}")
        if warn_free_gb <= abort_free_gb and abort_free_gb > 0:
            raise ValueError(f"warn ({warn_free_gb} GiB) must exceed abort ({abort_free_gb} GiB)")
        self.interval_s = interval_s
        self._calm_interval_s = interval_s
        self._folder = folder
        self._budget = budget or ScratchBudget()
        self._warn_bytes, self._abort_bytes = warn_free_gb * GIB, abort_free_gb * GIB
        self._trips = abort_free_gb > 0
        self._low = Latch(0.0, -0.1)
        self._empty = SampleWindow(_NEEDED, _WINDOW)
        self._used_at_start: float | None = None
        told = self._limited(0.0) if self._budget.limit_bytes else self._system(0.0)
        self.thresholds = {"warn_free_bytes": told.warn_bytes}
        if self._trips:
            self.thresholds["abort_free_bytes"] = told.abort_bytes

    def read(self, now_s: float) -> Reading:
        """Sample free space. An unreadable file system gives a reading without values."""
        system = _read_file_system(self._folder)
        if system is None:
            return Reading(self.name, advisory=f"{self._folder} tells no free space")
        values = {"total_bytes": system.total_bytes}
        room = self._system(system.free_bytes)
        if self._budget.limit_bytes > 0:
            own = float(measure_folder(self._folder).used_bytes)
            values |= {"own_bytes": own, "limit_bytes": float(self._budget.limit_bytes)}
            ours = self._limited(max(0.0, self._budget.limit_bytes - own))
            room = min(room, ours, key=lambda each: each.free_bytes - each.abort_bytes)
        free = values["free_bytes"] = room.free_bytes
        if self._used_at_start is None:
            self._used_at_start = system.used_bytes
        is_near = free <= 2 * room.warn_bytes
        self.interval_s = self._calm_interval_s / (_HURRY if is_near else 1)
        is_low = self._low.add(1 - free / room.warn_bytes if room.warn_bytes else -1.0)
        warning = f"only {free / GIB:.1f} GiB are left {room.place}" if is_low else ""
        if system.free_inodes_ratio is not None:
            values["free_inodes_ratio"] = system.free_inodes_ratio
            if system.free_inodes_ratio < _FEW_INODES and not warning:
                warning = f"fewer than 1 % of the files that fit under {self._folder} are left"
        is_empty = self._empty.add(self._trips and free <= room.abort_bytes)
        trip = self._trip(room, system.used_bytes) if is_empty else None
        return Reading(self.name, values, warning, trip)

    def _system(self, free_bytes: float) -> _Room:
        return _Room(free_bytes, self._warn_bytes, self._abort_bytes, f"under {self._folder}")

    def _limited(self, free_bytes: float) -> _Room:
        limit = self._budget.limit_bytes
        place = f"of the {limit / GIB:.1f} GiB of scratch allowed"
        warn, abort = limit * (1 - LIMIT_WARN_RATIO), limit * (1 - LIMIT_ABORT_RATIO)
        return _Room(free_bytes, warn, abort, place, limit)

    def _trip(self, room: _Room, used_bytes: float) -> Failure:
        free_bytes, abort_bytes = room.free_bytes, room.abort_bytes
        usage = measure_folder(self._folder)
        started = used_bytes if self._used_at_start is None else self._used_at_start
        report = self._report(usage, room, int(max(0.0, used_bytes - started)))
        return Failure(
            FailureCode.DISK_EXHAUSTION,
            f"Only {free_bytes / GIB:.2f} GiB are left {room.place}; the sorter was stopped at "
            f"{abort_bytes / GIB:.2f} GiB.",
            rule_id="guard.disk",
            evidence=DiskExhaustionEvidence(
                folder=str(self._folder),
                free_gb_at_trip=report.free_gb_at_trip,
                abort_threshold_gb=report.abort_threshold_gb,
                free_bytes=int(free_bytes),
                abort_free_bytes=int(abort_bytes),
                limit_bytes=self._budget.limit_bytes,
                projected_need_gb=report.projected_need_gb,
                consumed_bytes=report.bytes_consumed_during_sort,
                top_consumers=[
                    {"path": path, "size_bytes": size} for path, size in usage.consumers
                ],
                report=report.to_json(),
                next_step=report.suggested_actions[0],
            ),
        )

    def _report(self, usage: FolderUsage, room: _Room, consumed_bytes: int) -> DiskExhaustionReport:
        projected = self._budget.projected_bytes
        return DiskExhaustionReport(
            folder=str(self._folder),
            free_gb_at_trip=round(room.free_bytes / GIB, 3),
            abort_threshold_gb=round(room.abort_bytes / GIB, 3),
            projected_need_gb=round(projected / GIB, 3) if projected else None,
            bytes_consumed_during_sort=consumed_bytes,
            top_consumers=usage.consumers,
            suggested_actions=(
                next_step_of(
                    usage,
                    limit_bytes=room.limit_bytes,
                    missing_bytes=projected - usage.used_bytes - room.free_bytes,
                    warn_bytes=room.warn_bytes,
                ),
            ),
        )


@dataclass(frozen=True)
class _FileSystem:
    """Free (for unprivileged users), used and total bytes; the share of inodes still free."""

    free_bytes: float
    used_bytes: float
    total_bytes: float
    free_inodes_ratio: float | None


def _read_file_system(folder: Path) -> _FileSystem | None:
    """Ask the file system that holds ``folder``, or its nearest parent that exists."""
    for place in (folder, *folder.parents):
        try:
            status = os.statvfs(place)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        block = status.f_frsize
        return _FileSystem(
            free_bytes=float(status.f_bavail * block),
            used_bytes=float((status.f_blocks - status.f_bfree) * block),
            total_bytes=float(status.f_blocks * block),
            free_inodes_ratio=status.f_favail / status.f_files if status.f_files else None,
        )
    return None
