"""Who names the address of a wrong room is told which room is there and which is wanted."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.support.room_processes import RoomProcesses

from spikefleet.cli.main import cli
from spikefleet.cli.options import ExitCode
from spikefleet.deploy.rooms.wiring import RoomName

CONTROLLER = "lab-controller:7311"


@pytest.fixture(scope="module")
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an ingest room that has no other room beside it."""
    folder: Path = tmp_path_factory.mktemp("rooms")
    settings = {
        "DATABASE_URL": f"sqlite:///{folder / 'runs.db'}",
        "ARTIFACTS_URL": (folder / "artifacts").as_uri(),
        "PREFLIGHT_ADDRESS": "lab-preflight:7311",
        "CONTROLLER_ADDRESS": CONTROLLER,
    }
    rooms = RoomProcesses(folder, [(RoomName.INGEST,)], settings).start()
    yield rooms.address(RoomName.INGEST)
    rooms.close()


@pytest.mark.parametrize("verb", ["status", "watch", "logs"])
def test_the_address_of_a_wrong_room_says_which_is_wanted(ingest: str, verb: str) -> None:
    done = CliRunner().invoke(cli, [verb, "run-0123456789abcdef", "--address", ingest])
    assert done.exit_code == ExitCode.UNREACHABLE
    assert done.stderr.startswith("The ingest room answers at this address; ControllerService/")
    assert f"is for the controller room, which answers at {CONTROLLER}." in done.stderr
    assert "Next: Call that room's address" in done.stderr
