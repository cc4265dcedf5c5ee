"""Does the sorter wait for a disk that does not answer? Reads counters; never touches the disk.

A sort that moves no byte is not a stall by itself: clustering moves none for hours. It is one while
something waits for the disk: threads in uninterruptible sleep, or requests the device has accepted
and not finished.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.failures.evidence_rows import IOStallEvidence
from spikefleet.core.guards.base import Reading
from spikefleet.core.guards.sources import TreeSource
from spikefleet.runner.guards.samples import SampleWindow

_SYS_BLOCK = Path("/sys/dev/block")
_SECTOR_BYTES = 512
_MOST_INTERVALS = 4
_WAITING_SHARE = 0.5


@dataclass(frozen=True)
class IOSample:
    """Bytes moved so far, and how many threads or requests wait for the disk now."""

    moved_bytes: int
    n_waiting: int


class IOSource(Protocol):
    """Where bytes are counted.

    ``label`` says whose; ``device`` is the block device as major:minor, "" for processes.
    """

    label: str
    device: str

    def read(self) -> IOSample | None:
        """Return the counters; None when they cannot be read."""
        ...


class ProcessIO:
    """The bytes of the sorter's processes, and their threads that wait for a disk."""

    def __init__(self, tree: TreeSource) -> None:
        self.label, self.device = "processes", ""
        self._tree = tree

    def read(self) -> IOSample | None:
        """Sum over the tree; None when no process may be asked."""
        sample = self._tree.read()
        if sample is None or sample.moved_bytes is None:
            return None
        return IOSample(sample.moved_bytes, sample.n_waiting)


class DeviceIO:
    """The bytes and unfinished requests of the block device below ``folder``.

    The device is found by its number, so a bind mount or a mapper is no riddle. File systems
    without one (overlay, tmpfs, network) are unreadable. A neighbour's traffic counts as life.
    """

    def __init__(self, folder: Path, block_root: Path = _SYS_BLOCK) -> None:
        self._counters = _counters_of(folder, block_root)
        self.label = f"device of {folder}" if self._counters else ""
        self.device = self._counters.parent.name if self._counters else ""

    def read(self) -> IOSample | None:
        """Read the kernel's counters of the device."""
        if self._counters is None:
            return None
        try:
            fields = [int(field) for field in self._counters.read_text().split()]
            return IOSample((fields[2] + fields[6]) * _SECTOR_BYTES, fields[8])
        except (OSError, ValueError, IndexError):
            return None


def _counters_of(folder: Path, block_root: Path) -> Path | None:
    for place in (folder, *folder.parents):
        try:
            device = os.stat(place).st_dev
        except FileNotFoundError:
            continue
        except OSError:
            return None
        path = block_root / f"{os.major(device)}:{os.minor(device)}" / "stat"
        return path if path.is_file() else None
    return None


class IOStallWatchdog:
    """Trips when no byte moved for ``stall_s`` seconds while something waited for the disk.

    Waiting must be seen in at least half of the samples of that time, and a second reading must
    confirm it, so that one reading decides nothing. ``sources`` are tried in order: the first that
    can be read counts. Raises ValueError for a time that is none.
    """

    name = "io_stall"

    def __init__(
        self, *sources: IOSource, stall_s: float = 300.0, interval_s: float = 10.0
    ) -> None:
        if not math.isfinite(stall_s) or stall_s <= 0:
            raise ValueError(f"an I/O stall must be a finite time > 0 s, not {stall_s}")
        self.interval_s = min(interval_s, stall_s / _MOST_INTERVALS)
        self.thresholds = {"stall_seconds": stall_s}
        self._sources = sources
        self._stall_s = stall_s
        self._label = self._device = ""
        self._moved_bytes = -1
        self._moved_at_s = 0.0
        self._samples = self._waiting = 0
        self._over = SampleWindow(2, 2)

    def read(self, now_s: float) -> Reading:
        """Compare the counters with the last look. Unreadable ones give no values."""
        found = self._first_readable()
        if found is None:
            return Reading(self.name, advisory="neither processes nor device tell their I/O")
        source, sample = found
        label, self._device = source.label, source.device
        if label != self._label or sample.moved_bytes != self._moved_bytes:
            self._label, self._moved_bytes = label, sample.moved_bytes
            self._moved_at_s, self._samples, self._waiting = now_s, 0, 0
        self._samples += 1
        self._waiting += sample.n_waiting > 0
        still_s = now_s - self._moved_at_s
        waits = self._samples > 1 and self._waiting >= _WAITING_SHARE * self._samples
        values = {
            "still_seconds": still_s,
            "moved_bytes": float(sample.moved_bytes),
            "waiting": float(sample.n_waiting),
        }
        advisory = "" if label == self._sources[0].label else f"counting the {label} instead"
        warning = ""
        if waits and still_s >= self._stall_s / 2:
            warning = (
                f"no byte moved for {still_s:.0f} s while threads or requests wait for the disk "
                f"({sample.n_waiting}; stopped at {self._stall_s:.0f} s)"
            )
        is_confirmed = self._over.add(waits and still_s >= self._stall_s)
        trip = self._trip(sample, still_s) if is_confirmed else None
        return Reading(self.name, values, warning, trip, advisory)

    def _first_readable(self) -> tuple[IOSource, IOSample] | None:
        for source in self._sources:
            sample = source.read()
            if sample is not None:
                return source, sample
        return None

    def _trip(self, sample: IOSample, still_s: float) -> Failure:
        return Failure(
            FailureCode.IO_STALL,
            f"No byte was read or written for {still_s:.0f} s while the sorter waited for its "
            "disk; it was stopped.",
            rule_id="guard.io_stall",
            evidence=IOStallEvidence(
                device=self._device or None,
                stall_s=round(still_s, 1),
                allowed_s=self._stall_s,
                counted=self._label,
                waiting=sample.n_waiting,
                waiting_share=round(self._waiting / self._samples, 2),
                moved_bytes=sample.moved_bytes,
            ),
        )
