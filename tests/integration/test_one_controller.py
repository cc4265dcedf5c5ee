"""Two controllers of one installation, as processes, before one cluster: one acts at a time."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.kubefake.cluster import KubeFake, kubeconfig
from tests.kubefake.faults import FaultProxy, Hang
from tests.kubefake.resources import LEASES
from tests.support.room_processes import RoomProcesses, free_port
from tests.support.runner_profiles import CPU, document

from spikefleet.deploy.rooms.wiring import RoomName
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.epochs import Epoch, read_epoch

READY_S, TAKEN_OVER_S = 40.0, 40.0


class Installation:
    """One database and one lease; controllers are started by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'state.db'}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, server: str) -> None:
        """Begin a controller that knows the cluster at ``server``."""
        own = self.folder / name
        own.mkdir()
        (own / "runners.json").write_text(json.dumps(document(profiles={"default": CPU})))
        (own / "kubeconfig").write_text(yaml.safe_dump(kubeconfig(server)))
        port = free_port()
        told = {
            "ADDRESS": f"127.0.0.1:{port}",
            "DATA_DIR": str(own / "data"),
            "DATABASE_URL": self.url,
            "ARTIFACTS_URL": (self.folder / "artifacts").as_uri(),
            "RUNNERS_FILE": str(own / "runners.json"),
            "KUBECONFIG": str(own / "kubeconfig"),
            "ROOM_SECRET_FILE": str(self.secret()),
            "METRICS_PORT": "0",
            **{f"{room}_ADDRESS": "127.0.0.1:9" for room in ("PREFLIGHT", "CURATION", "REPORTER")},
        }
        with (own / "log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "spikefleet.deploy.cluster", "controller"],
                env={**os.environ, **{f"SPIKEFLEET_{key}": value for key, value in told.items()}},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def secret(self) -> Path:
        path = self.folder / "room-secret"
        path.write_text("5" * 64)
        path.chmod(0o600)
        return path

    def log(self, name: str) -> str:
        return (self.folder / name / "log").read_text()

    def serves(self, name: str) -> bool:
        return "rooms.ready" in self.log(name)

    def wait_until_it_serves(self, name: str, within_s: float) -> None:
        end = time.monotonic() + within_s
        while not self.serves(name):
            assert self.processes[name].poll() is None, self.log(name)
            assert time.monotonic() < end, self.log(name)
            time.sleep(0.1)

    def epoch(self) -> Epoch:
        database = Database(self.url)
        try:
            with database.read() as connection:
                return read_epoch(connection)
        finally:
            database.close()


@pytest.fixture
def fake() -> Iterator[KubeFake]:
    with KubeFake(speed=1.0) as cluster:
        yield cluster


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    yield made
    for process in made.processes.values():
        process.kill()
        process.wait(30)


def test_controller_without_a_cluster_ends_when_another_takes_its_database_over(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    room = (RoomName.CONTROLLER,)
    settings = {
        "DATABASE_URL": url,
        "ARTIFACTS_URL": (tmp_path / "artifacts").as_uri(),
        **{f"{name}_ADDRESS": "127.0.0.1:9" for name in ("PREFLIGHT", "CURATION", "REPORTER")},
    }
    rooms = RoomProcesses(tmp_path / "rooms", [room], settings).start()
    process = rooms.processes[room]
    try:
        other = Database(url)
        other.take_epoch("another service")
        other.close()
        assert process.wait(60) == 1
        assert "controller.replaced" in (tmp_path / "rooms" / "controller.log").read_text()
    finally:
        process.kill()
        process.wait(30)


def holder(fake: KubeFake) -> str:
    with fake.clock.lock:
        [lease] = fake.store.list(LEASES)
        return str(lease["spec"]["holderIdentity"])


def test_second_controller_begins_when_the_first_is_killed_and_not_before(
    fake: KubeFake, installation: Installation
) -> None:
    installation.start("first", fake.url)
    installation.wait_until_it_serves("first", READY_S)
    assert installation.epoch().number == 1
    installation.start("second", fake.url)
    time.sleep(8)
    assert not installation.serves("second")
    before = holder(fake)
    installation.processes["first"].send_signal(signal.SIGKILL)
    installation.wait_until_it_serves("second", TAKEN_OVER_S)
    assert holder(fake) != before
    assert installation.epoch().number == 2
    installation.processes["second"].terminate()
    assert installation.processes["second"].wait(60) == 0
    assert holder(fake) == "", "a controller that is told to end gives the lease back"


def test_controller_whose_api_server_hangs_ends_by_itself_and_says_so(
    fake: KubeFake, installation: Installation
) -> None:
    with FaultProxy(fake.url) as proxy:
        installation.start("first", proxy.url)
        installation.wait_until_it_serves("first", READY_S)
        began = time.monotonic()
        proxy.order = lambda seen: Hang()
        while "leader.lost" not in installation.log("first"):
            assert time.monotonic() < began + 14.0, "the lease lasts fifteen seconds"
            time.sleep(0.1)
        assert installation.processes["first"].wait(60) == 1
