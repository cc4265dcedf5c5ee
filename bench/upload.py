"""What an upload costs: CPU seconds per GB or ms per small file, of rig and service, and the rate.

The service is a process of its own with the ingest room on real stores; the rig is this process.
The yardstick is what any upload must do: read the file, digest it once on each side, write it once.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from spikefleet.client.rooms import ControllerRoom, PreflightRoom
from spikefleet.client.sorting import SortingClient
from spikefleet.core.submissions import Recording, RecordingName
from spikefleet.infra.rpc.access import Admission
from spikefleet.infra.rpc.server import RpcServer, ServerOptions
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.stores.sql.uploads import UploadStore
from spikefleet.infra.system.allocator import keep_freed_memory
from spikefleet.ingest.servicer import IngestParts, registration

SIZE_BYTES = 512 << 20
LIMIT_S_PER_GB = 6.0
SMALL_FILES = 2000
SMALL_FILE_BYTES = 20_000
LIMIT_MS_PER_SMALL_FILE = 1.0  # of the service


def measure(rounds: int = 3) -> tuple[dict[str, Any], bool]:
    """Upload ``rounds`` files of random bytes, and folders of small ones.

    Returns the medians and whether the bounds are held.
    """
    with tempfile.TemporaryDirectory(prefix="bench-upload-") as place:
        folder = Path(place)
        rows = [_round(folder, number) for number in range(rounds)]
        yardstick = _yardstick(folder / "rec-0.bin", folder / "copy.bin")
        small = [_small_round(folder, number) for number in range(rounds)]
    result = {name: round(median(row[name] for row in rows), 2) for name in rows[0]}
    result |= {name: round(median(row[name] for row in small), 2) for name in small[0]}
    result["yardstick_cpu_s_per_gb"] = round(yardstick, 2)
    result["limit_cpu_s_per_gb"] = LIMIT_S_PER_GB
    result["limit_service_cpu_ms_per_small_file"] = LIMIT_MS_PER_SMALL_FILE
    result["rounds"], result["small_rounds"] = rows, small
    held = result["both_cpu_s_per_gb"] <= LIMIT_S_PER_GB
    return result, held and result["service_cpu_ms_per_small_file"] <= LIMIT_MS_PER_SMALL_FILE


def _round(folder: Path, number: int) -> dict[str, float]:
    path = folder / f"rec-{number}.bin"
    with path.open("wb") as handle:
        for _ in range(SIZE_BYTES >> 20):
            handle.write(os.urandom(1 << 20))
    recording, (service_s, rig_s, wall_s) = _upload(path, folder / f"service-{number}")
    with path.open("rb") as handle:
        assert recording.files[0].sha256 == hashlib.file_digest(handle, "sha256").hexdigest()
    gigabytes = SIZE_BYTES / 1e9
    return {
        "rig_cpu_s_per_gb": round(rig_s / gigabytes, 2),
        "service_cpu_s_per_gb": round(service_s / gigabytes, 2),
        "both_cpu_s_per_gb": round((rig_s + service_s) / gigabytes, 2),
        "mb_per_s": round(SIZE_BYTES / 1e6 / wall_s, 1),
    }


def _small_round(folder: Path, number: int) -> dict[str, float]:
    recording_folder = folder / f"rec-{number}"
    for index in range(SMALL_FILES):
        path = recording_folder / f"{index // 100}" / f"{index}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(SMALL_FILE_BYTES))
    recording, spent_s = _upload(recording_folder, folder / f"service-small-{number}")
    for file in recording.files:
        data = (recording_folder / file.path).read_bytes()
        assert file.sha256 == hashlib.sha256(data).hexdigest()
    names = ("service_cpu", "rig_cpu", "wall")
    return {
        f"{name}_ms_per_small_file": round(1000 * seconds / SMALL_FILES, 2)
        for name, seconds in zip(names, spent_s, strict=True)
    }


def _upload(path: Path, service_folder: Path) -> tuple[Recording, tuple[float, float, float]]:
    """Upload to a service of its own; return also the CPU s of service and rig, and the wall s."""
    command = [sys.executable, "-m", "bench.upload", "serve", str(service_folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        address = service.stdout.readline().strip()
        server = psutil.Process(service.pid)
        with SortingClient(address) as client:
            before = (_cpu_s(server), time.process_time(), time.perf_counter())
            recording = client.add_recording(
                path, name=RecordingName("bench", "upload", path.stem), in_place=False
            )
            after = (_cpu_s(server), time.process_time(), time.perf_counter())
        service.terminate()
    service_s, rig_s, wall_s = (b - a for a, b in zip(before, after, strict=True))
    return recording, (service_s, rig_s, wall_s)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _yardstick(source: Path, target: Path) -> float:
    """CPU seconds per GB of reading, digesting twice and writing once, without any wire."""
    before_s = time.process_time()
    digests = [hashlib.sha256(), hashlib.sha256()]
    with source.open("rb") as reading, target.open("wb") as writing:
        while chunk := reading.read(1 << 20):
            for digest in digests:
                digest.update(chunk)
            writing.write(chunk)
        os.fdatasync(writing.fileno())
    return (time.process_time() - before_s) / (SIZE_BYTES / 1e9)


async def _serve(folder: Path) -> None:
    database = Database(f"sqlite:///{folder / 'state.db'}")
    database.migrate()
    admission = Admission()
    server = RpcServer("127.0.0.1:0", (), ServerOptions(admission=admission))
    address = f"127.0.0.1:{server.bind()}"
    parts = IngestParts(
        RecordingStore(database),
        UploadStore(database),
        LocalArtifacts(folder / "artifacts"),
        folder / "staging",
        PreflightRoom(address, admission.room_secret),
        ControllerRoom(address, admission.room_secret),
    )
    await server.start([registration(parts)])
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    await server.serve_until(asyncio.Event())


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        Path(sys.argv[2]).mkdir(parents=True)
        keep_freed_memory()  # as serve does
        asyncio.run(_serve(Path(sys.argv[2])))
    else:
        print(measure())
