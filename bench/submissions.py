"""What submissions of known recordings cost: a whole folder in one call, and one call for each.

A service with real stores runs in a process of its own; 200 recordings of two streams lie where
they were registered and are untouched, so that none is opened. Counted is the CPU of rig and
service for each recording, and how many a second a single rig gets through, which waits for its
answer every time. The bound, 200 recordings a second, is 5 ms of CPU for each of a folder.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from tests.support.facility import Facility
from tests.support.serving import serving

from bench.child import cpu_s, serving_child
from spikefleet.client.sorting import SortingClient

RECORDINGS = 200
LIMIT_MS = 5.0


def measure() -> tuple[dict[str, Any], bool]:
    """Return CPU ms and recordings a second of every way, and whether the bound is held."""
    with tempfile.TemporaryDirectory(prefix="bench-submissions-") as place:
        folder = Path(place)
        paths = [folder / f"night-{number:03d}.raw.h5" for number in range(RECORDINGS)]
        for path in paths:
            path.write_bytes(path.name.encode())
        with (
            serving_child("bench.submissions", folder / "service") as (address, server),
            SortingClient(address) as client,
        ):
            ids = [client.add_recording(path).recording_id for path in paths]
            client.sort(ids)
            client.sort(ids[:1])
            ways: dict[str, Callable[[], object]] = {
                "registered_again": lambda: [client.add_recording(path) for path in paths],
                "folder_of_known_runs": lambda: client.sort(ids),
                "folder_of_new_runs": lambda: client.sort(ids, overrides={"snr_min": 6.5}),
                "one_call_each_known_runs": lambda: [client.sort([one]) for one in ids],
                "one_call_each_new_runs": lambda: [
                    client.sort([one], overrides={"snr_min": 7.5}) for one in ids
                ],
            }
            result = {name: _cost(work, server) for name, work in ways.items()}
    folders = [row["cpu_ms_each"] for name, row in result.items() if name.startswith("folder")]
    return {**result, "limit_ms": LIMIT_MS}, max(folders) <= LIMIT_MS


def _cost(work: Callable[[], object], server: psutil.Process) -> dict[str, float]:
    """CPU of rig and service and recordings a second while ``work`` hands in all of them."""
    before = (cpu_s(server), time.process_time(), time.perf_counter())
    work()
    after = (cpu_s(server), time.process_time(), time.perf_counter())
    service_s, rig_s, wall_s = (b - a for a, b in zip(before, after, strict=True))
    return {
        "cpu_ms_each": round((service_s + rig_s) / RECORDINGS * 1e3, 2),
        "service_cpu_ms_each": round(service_s / RECORDINGS * 1e3, 2),
        "recordings_per_s": round(RECORDINGS / wall_s),
    }


def _serve(folder: Path) -> None:
    """Serve until the parent has no more use for it."""
    facility = Facility(folder)
    with serving(facility.rooms) as server:
        sys.stdout.write(f"{server.address}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        _serve(Path(sys.argv[2]))
    else:
        print(measure())
