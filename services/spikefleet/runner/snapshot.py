"""What the attempt looked like in the moment it had to be ended.

It is taken before the first signal and written after the last, because a disk that is slow to take
it must not keep the sorter alive. Only what the kernel tells at once is read: a command line would
have to be asked of a process that may not answer any more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

import psutil

from spikefleet.core.attempts import RunFolder
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.files import write_json
from spikefleet.runner.guards.loop import GuardLoop

_log = logging.getLogger(__name__)


def take_snapshot(trip: Failure, guards: GuardLoop, pids: Iterable[int]) -> dict[str, Any]:
    """Return what guards last read and what the processes ``pids`` are doing; writes nothing."""
    return {
        "at": time.time(),
        "code": str(trip.code),
        "rule_id": trip.rule_id,
        "message": trip.message,
        "readings": {name: dict(reading.values) for name, reading in guards.readings.items()},
        "advisories": {
            name: reading.advisory for name, reading in guards.readings.items() if reading.advisory
        },
        "thresholds": dict(guards.thresholds),
        "processes": [found for pid in pids if (found := _describe(pid)) is not None],
    }


def write_snapshot(folder: RunFolder, trip: Failure, snapshot: Mapping[str, Any]) -> None:
    """Leave ``trip_snapshot.json``, and the disk's own report where the disk was the reason.

    A disk that takes neither is logged; the same facts are in the failure's evidence.
    """
    try:
        report = trip.evidence.get("report")
        if trip.code is FailureCode.DISK_EXHAUSTION and isinstance(report, dict):
            write_json(folder.disk_report, report)
        write_json(folder.trip_snapshot, snapshot)
    except OSError as error:
        _log.warning("snapshot.not_written", extra={"error": str(error)})


def _describe(pid: int) -> dict[str, Any] | None:
    try:
        process = psutil.Process(pid)
        times, memory = process.cpu_times(), process.memory_info()
        return {
            "pid": pid,
            "parent": process.ppid(),
            "name": process.name(),
            "state": process.status(),
            "threads": process.num_threads(),
            "cpu_s": round(times.user + times.system, 2),
            "resident_bytes": memory.rss,
        }
    except psutil.Error:
        return None
