"""What an upload straight into a bucket costs the service: CPU seconds per GB, beside the stream.

The service is a process of its own with the ingest room over a real S3 server; the rig is this
process. Only the service's own CPU counts: the bucket is another machine's. Skipped where no S3
server can be started.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from tests.support.room_processes import RoomProcesses
from tests.support.s3_servers import TOOL, S3Server

from spikefleet.core.submissions import RecordingName
from spikefleet.deploy.rooms.wiring import RoomName

SIZE_BYTES = 4 << 30  # three minutes of one probe: a call or two by themselves count little
# A server that takes a part after its file was made costs a copy of every part, inside it.
LIMITS_S_PER_GB = {"ceph": 0.02, "swift": 0.1}
_INGEST = (RoomName.INGEST,)


def measure(rounds: int = 1) -> tuple[dict[str, Any], bool]:
    """Upload ``rounds`` recordings of random bytes to each server; return medians and verdict."""
    if not TOOL.is_file():
        return {"skipped": "no S3 server can be started here"}, True
    found = {engine: _measure(engine, rounds) for engine in LIMITS_S_PER_GB}
    held = all(
        found[engine]["service_cpu_s_per_gb"] <= limit for engine, limit in LIMITS_S_PER_GB.items()
    )
    return found | {"limits_service_cpu_s_per_gb": LIMITS_S_PER_GB}, held


def _measure(engine: str, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-direct-") as place:
        folder = Path(place)
        store = S3Server(engine, folder / "s3")
        store.start()
        try:
            rows = _rounds(folder, store, rounds)
        finally:
            store.end()
    return {name: round(median(row[name] for row in rows), 4) for name in rows[0]}


def _rounds(folder: Path, store: S3Server, rounds: int) -> list[dict[str, float]]:
    bucket = store.make_bucket()
    rooms = RoomProcesses(
        folder / "rooms",
        [_INGEST],
        {
            "DATABASE_URL": f"sqlite:///{folder / 'runs.db'}",
            "ARTIFACTS_URL": f"s3://{bucket.bucket}/lab?endpoint={store.endpoint}",
            "S3_CREDENTIALS": str(store.write_credentials(folder / "secret")),
            "PREFLIGHT_ADDRESS": "127.0.0.1:1",
            "CONTROLLER_ADDRESS": "127.0.0.1:1",
        },
    ).start()
    try:
        _round(folder, rooms, -1, 1 << 20)  # what is imported and opened once
        return [_round(folder, rooms, number, SIZE_BYTES) for number in range(rounds)]
    finally:
        rooms.close()


def _round(folder: Path, rooms: RoomProcesses, number: int, size_bytes: int) -> dict[str, float]:
    path = folder / "night.bin"
    with path.open("wb") as handle:
        block = os.urandom(1 << 20)
        for index in range(size_bytes >> 20):
            handle.write(index.to_bytes(8) + block[8:])
    service, rig = _process(rooms.processes[_INGEST]), psutil.Process()
    before = _cpu_s(service), _cpu_s(rig)
    began_s = time.monotonic()
    with rooms.client() as client:
        client.add_recording(path, name=RecordingName("lab", "bench", f"n{number}"), in_place=False)
    wall_s = time.monotonic() - began_s
    gigabytes = size_bytes / 1e9
    return {
        "service_cpu_s_per_gb": round((_cpu_s(service) - before[0]) / gigabytes, 4),
        "rig_cpu_s_per_gb": round((_cpu_s(rig) - before[1]) / gigabytes, 2),
        "mb_per_s": round(size_bytes / 1e6 / wall_s, 1),
    }


def _process(process: subprocess.Popen[bytes]) -> psutil.Process:
    return psutil.Process(process.pid)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
