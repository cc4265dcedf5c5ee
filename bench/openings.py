"""What confinement costs: one opening in a confined process, and one sort's share of it.

The yardstick of an opening is the same call in this process; what confinement adds is bounded. Of
many repeats the fastest counts: the others were waiting for somebody else's work. A sorter's child
confines itself once; that time is compared with a short sort's.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from spikefleet.core.submissions import Recording, RecordingName
from spikefleet.deploy.rooms.confined import ConfinedRooms, open_zygote
from spikefleet.deploy.settings import Settings, confined_environment
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.preflight.describe import describe_recording
from spikefleet.preflight.places import PreflightPlaces
from spikefleet.signal.simulation.request import SimulationRequest
from spikefleet.signal.simulation.writing import simulate

ADDED_LIMIT_MS = 50.0
SHORT_SORT_S = 30.0
SHARE_LIMIT = 0.02
REPEATS = 20
_CONFINE = """
import time
started = time.perf_counter()
from spikefleet.infra.system.confinement import SandboxPolicy, confine
confine(SandboxPolicy(readable=("/tmp",), writable=("/tmp",), programs=True))
print(time.perf_counter() - started)
"""


async def _confined_ms(rooms: ConfinedRooms, recording: Recording) -> list[float]:
    found = []
    for _ in range(REPEATS + 1):
        started_s = time.perf_counter()
        answer = await rooms.openings.describe(recording, list_members=False)
        assert answer.failure is None, answer.failure
        found.append((time.perf_counter() - started_s) * 1e3)
    return found[1:]  # the first waits for the zygote's imports


def _bare_ms(recording: Recording) -> list[float]:
    places = PreflightPlaces("", "")
    found = []
    for _ in range(REPEATS + 1):
        started_s = time.perf_counter()
        describe_recording(places, recording)
        found.append((time.perf_counter() - started_s) * 1e3)
    return found[1:]


def measure() -> tuple[dict[str, Any], bool]:
    """Return milliseconds per opening and the share of a short sort, and whether both are held."""
    with tempfile.TemporaryDirectory(prefix="bench-openings-") as scratch:
        folder = Path(scratch)
        path = folder / "night.raw.h5"
        simulate(SimulationRequest("maxwell", path, duration_s=2.0))
        recording = Recording(
            "rec-1", RecordingName("lab", "day", "night"), (), "d", str(path), in_place=True
        )
        zygote = open_zygote(confined_environment(), folder / "openings")
        rooms = ConfinedRooms(zygote, Settings(data_dir=folder), LocalArtifacts(folder / "a"))
        confined = min(asyncio.run(_confined_ms(rooms, recording)))
        zygote.close()
        bare = min(_bare_ms(recording))
    command = [sys.executable, "-P", "-c", _CONFINE]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    confine_s = float(json.loads(said.stdout))
    added_ms, share = confined - bare, confine_s / SHORT_SORT_S
    result = {
        "opening_confined_ms": round(confined, 1),
        "opening_bare_ms": round(bare, 1),
        "added_ms": round(added_ms, 1),
        "confining_a_child_s": round(confine_s, 4),
        "share_of_a_30_s_sort": round(share, 5),
    }
    return result, added_ms <= ADDED_LIMIT_MS and share <= SHARE_LIMIT
