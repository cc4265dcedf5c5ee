"""inspect and simulate: recordings on this machine, without a service."""

import json
from pathlib import Path

import h5py
import pytest
from click.testing import CliRunner
from tests.support.formats.intan import write_attached
from tests.support.formats.probes import make_noise

from spikefleet.cli import inspect as command
from spikefleet.cli.main import cli
from spikefleet.signal.simulation import Condition, load_truth
from spikefleet.signal.simulation.request import FORMATS


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


def test_one_bad_well_does_not_hide_the_others(tmp_path: Path) -> None:
    made = _simulate(tmp_path / "plate", "--format", "maxwell", "--wells", "3")
    with h5py.File(made["path"], "r+") as file:
        routed = file[f"wells/well001/{next(iter(file['wells/well001']))}/groups/routed"]
        numbers = routed["frame_nos"][:]
        del routed["frame_nos"]
        routed["frame_nos"] = numbers[:-10]
    done = CliRunner().invoke(cli, ["inspect", made["path"], "--output", "json"])
    assert done.exit_code == 1
    found = {entry["stream"]: entry for entry in json.loads(done.stdout)["streams"]}
    assert [found[f"well00{n}"]["sortable"] for n in range(3)] == [True, False, True]
    assert found["well001"]["refusal"]["evidence"]["reason"] == "truncated"
    assert found["well002"]["n_samples"] == 20000


def test_one_well_can_be_asked_for_and_an_unknown_one_is_wrong_usage(tmp_path: Path) -> None:
    made = _simulate(tmp_path / "plate", "--format", "maxwell", "--wells", "2")
    done = CliRunner().invoke(
        cli, ["inspect", made["path"], "--stream", "well001", "--output", "json"]
    )
    assert [entry["stream"] for entry in json.loads(done.stdout)["streams"]] == ["well001"]
    done = CliRunner().invoke(cli, ["inspect", made["path"], "--stream", "well009"])
    assert done.exit_code == 2
    assert "well000, well001" in done.stderr


def test_pictures_are_drawn_for_every_stream_on_request(tmp_path: Path) -> None:
    made = _simulate(tmp_path / "plate", "--format", "maxwell", "--wells", "2")
    arguments = ["--probe-picture", str(tmp_path / "p.png"), "--trace-picture"]
    done = CliRunner().invoke(
        cli,
        ["inspect", made["path"], *arguments, str(tmp_path / "t.png"), "--output", "json"],
    )
    assert done.exit_code == 0, done.output
    for well, entry in zip(("well000", "well001"), json.loads(done.stdout)["streams"], strict=True):
        for kind, letter in (("probe", "p"), ("trace", "t")):
            file = tmp_path / f"{letter}-{well}.png"
            assert entry["pictures"][kind] == str(file)
            assert file.read_bytes().startswith(b"\x89PNG")


def test_a_recording_without_positions_still_shows_its_traces(tmp_path: Path) -> None:
    samples = make_noise(512, 3, "uint16")
    write_attached(tmp_path / "day.rhd", samples, ["A-000", "A-001", "A-002"])
    out = tmp_path / "p.png"
    done = CliRunner().invoke(
        cli,
        [
            "inspect",
            str(tmp_path / "day.rhd"),
            "--probe-picture",
            str(out),
            "--trace-picture",
            str(tmp_path / "t.png"),
        ],
    )
    assert done.exit_code == 1
    assert "probe.json" in done.stdout
    assert not out.exists()
    assert (tmp_path / "t.png").is_file()


def test_a_time_outside_the_recording_is_wrong_usage(tmp_path: Path) -> None:
    made = _simulate(tmp_path / "recording")
    asked = ["--trace-picture", str(tmp_path / "t.png"), "--trace-start", "5"]
    done = CliRunner().invoke(cli, ["inspect", made["path"], *asked])
    assert done.exit_code == 2
    assert "1.000 s" in done.stderr


def test_propagation_is_simulated_over_an_array_and_told_in_the_truth(tmp_path: Path) -> None:
    asked = ["--propagation", "--channels", "25", "--seconds", "1", "--pitch-um", "30"]
    target = tmp_path / "array"
    done = CliRunner().invoke(cli, ["simulate", str(target), *asked, "--output", "json"])
    assert done.exit_code == 0, done.output
    truth = load_truth(Path(json.loads(done.stdout)["truth_path"]))
    assert truth.propagation is not None
    assert truth.propagation.latencies_ms.shape == (6, 25)
    asked = ["simulate", str(target), "--format", "spikeglx", "--propagation"]
    refused = CliRunner().invoke(cli, asked)
    assert refused.exit_code == 2
    assert "--propagation must be used with maxwell, nwb, binary" in refused.stderr


def test_a_refused_simulation_names_the_option(tmp_path: Path) -> None:
    asked = ["simulate", str(tmp_path / "x.nwb"), "--format", "nwb", "--wells", "2"]
    done = CliRunner().invoke(cli, asked)
    assert done.exit_code == 2
    assert "--wells must be 1" in done.stderr
    assert "n_wells" not in done.stderr
