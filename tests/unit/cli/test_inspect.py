"""inspect and simulate: recordings on this machine, without a service."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from spikefleet.cli import inspect as command
from spikefleet.cli.main import cli
from spikefleet.core.recordings.simulation import Condition
from spikefleet.core.recordings.simulation.request import FORMATS


def _simulate(path: Path, *options: str) -> dict[str, str]:
    small = ["--channels", "4", "--seconds", "1", "--units", "1", "--output", "json"]
    done = CliRunner().invoke(cli, ["simulate", str(path), *small, *options])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


def test_a_plate_shows_its_wells(tmp_path: Path) -> None:
    made = _simulate(tmp_path / "plate", "--format", "maxwell", "--wells", "2")
    done = CliRunner().invoke(cli, ["inspect", made["path"], "--output", "json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["format"] == "maxwell"
    assert [stream["n_channels"] for stream in found["streams"]] == [4, 4]
    assert found["size_bytes"] == made["size_bytes"]


def test_people_get_a_table(tmp_path: Path) -> None:
    made = _simulate(tmp_path / "recording")
    done = CliRunner().invoke(cli, ["inspect", made["path"]])
    assert done.exit_code == 0
    assert "channels" in done.stdout
    assert "30 kHz" in done.stdout


def test_a_simulated_recording_has_its_known_spikes_beside_it(tmp_path: Path) -> None:
    made = _simulate(tmp_path / "recording")
    assert Path(made["truth_path"]).is_file()


@pytest.mark.parametrize(
    ("condition", "code"),
    [("empty", "input_corrupt"), ("truncated", "input_corrupt")],
)
def test_a_damaged_recording_is_named_by_its_failure(
    tmp_path: Path, condition: str, code: str
) -> None:
    made = _simulate(tmp_path / "plate", "--format", "maxwell", "--condition", condition)
    done = CliRunner().invoke(cli, ["inspect", made["path"], "--output", "json"])
    assert done.exit_code == 1
    error = json.loads(done.stdout)["error"]
    assert error["code"] == code
    assert error["next_step"]


def test_a_missing_recording_is_named_by_its_failure(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["inspect", str(tmp_path / "none")])
    assert done.exit_code == 1
    assert str(tmp_path / "none") in done.stderr.replace("\n", "")
    assert "Next: " in done.stderr


def test_an_impossible_simulation_is_wrong_usage(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        cli, ["simulate", str(tmp_path / "x"), "--channels", "0", "--output", "json"]
    )
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["code"] == "invalid_configuration"


def test_help_names_what_the_simulator_knows() -> None:
    assert command.FORMATS == FORMATS
    assert tuple(Condition) == command.CONDITIONS
