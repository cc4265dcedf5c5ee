"""Rig, service and store are killed at random: every byte arrives, hardly one of them twice."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.support.room_processes import RoomProcesses
from tests.support.s3_servers import S3Server
from tests.support.serving import write_bytes_file

from spikefleet.deploy.rooms.wiring import RoomName
from spikefleet.infra.stores.bytes.artifacts import verify_prefix
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.recordings import RecordingStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

KILLS = int(os.environ.get("KILLS", "40"))
PART = 5 << 20
RIG = Path(__file__).parents[1] / "support" / "uploading_rig.py"
INGEST = (RoomName.INGEST,)


class Night:
    """Recordings sent one after the other, each until it is there, while things die."""

    def __init__(self, folder: Path, rooms: RoomProcesses, store: S3Server) -> None:
        self.folder, self.rooms, self.store = folder, rooms, store
        self.journal = folder / "journal"
        self.dice = random.Random(20)
        self.kills: Counter[str] = Counter()
        self.sent: dict[str, Path] = {}
        self.rig: subprocess.Popen[str] | None = None

    def send(self, number: int) -> str:
        """Send one recording; return its id once a rig has ended well."""
        path = self.folder / f"night-{number}.bin"
        write_bytes_file(path, self.dice.randrange(6 * PART, 10 * PART), seed=number)
        while True:
            self.rig = self._start(path, f"lab/kills/{path.stem}")
            if self.kills.total() < KILLS:
                self._let_something_die()
            out, told = self.rig.communicate(timeout=300)
            if self.rig.returncode == 0:
                self.sent[out.strip()] = path
                return out.strip()
            # A rig that begins while no service is there says so at once; its user tries again.
            assert self.rig.returncode == -9 or "No service answers" in told, told

    def _start(self, path: Path, name: str) -> subprocess.Popen[str]:
        address = self.rooms.address(RoomName.INGEST)
        return subprocess.Popen(
            [sys.executable, RIG, address, path, name, self.journal],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _let_something_die(self) -> None:
        assert self.rig is not None
        time.sleep(self.dice.uniform(0.4, 1.2))
        victim = self.dice.choices(("rig", "service", "store"), (6, 3, 1))[0]
        if self.rig.poll() is not None:
            return
        self.kills[victim] += 1
        if victim == "rig":
            self.rig.kill()
        elif victim == "service":
            self.rooms.processes[INGEST].kill()
            self.rooms.processes[INGEST].wait()
            self.rooms.start_group(INGEST)
        else:
            self.store.end("kill")
            self.store.start()


def test_what_is_killed_while_it_uploads_costs_time_and_nothing_else(tmp_path, capsys):
    store = S3Server("swift", tmp_path / "s3")
    store.start()
    place = store.make_bucket()
    database = f"sqlite:///{tmp_path / 'runs.db'}"
    rooms = RoomProcesses(
        tmp_path / "rooms",
        [INGEST],
        {
            "DATABASE_URL": database,
            "ARTIFACTS_URL": f"s3://{place.bucket}/lab?endpoint={store.endpoint}",
            "S3_CREDENTIALS": str(store.write_credentials(tmp_path / "secret")),
            "PREFLIGHT_ADDRESS": "127.0.0.1:1",
            "CONTROLLER_ADDRESS": "127.0.0.1:1",
            "DIRECT_PART_BYTES": str(PART),
        },
    ).start()
    try:
        night = Night(tmp_path, rooms, store)
        number = 0
        while night.kills.total() < KILLS:
            night.send(number)
            number += 1
        require_everything(night, database, store, place)
    finally:
        if night.rig is not None:
            night.rig.kill()
        rooms.close()
        store.end()
    with capsys.disabled():
        print(f"\n{number} recordings, killed: {dict(night.kills)}")


def require_everything(night: Night, database: str, store: S3Server, place) -> None:
    """Every recording is whole, and no part was sent more than twice after it was acknowledged."""
    artifacts = store.open(type(place)(place.endpoint, place.bucket, "lab/"))
    recordings = RecordingStore(Database(database))
    for recording_id, path in night.sent.items():
        (stored,) = verify_prefix(artifacts, recordings.get(recording_id).location)
        assert artifacts.get_bytes(stored.key) == path.read_bytes()
    again: Counter[str] = Counter()
    acknowledged: set[str] = set()
    for line in night.journal.read_text().splitlines():
        word, _, part = line.partition(" ")
        if word == "acknowledged":
            acknowledged.add(part)
        elif part in acknowledged:
            again[part] += 1
    assert not [part for part, times in again.items() if times > 2]
