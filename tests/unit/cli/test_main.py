"""The command table: exit codes and errors, for people and for programs."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from spikefleet.cli.main import COMMANDS, cli
from spikefleet.cli.problems import explained
from spikefleet.infra.rpc.errors import ServiceError

ASKING = [
    ["status", "run-1"],
    ["watch", "run-1"],
    ["list"],
    ["cancel", "run-1"],
    ["retry", "run-1"],
    ["fetch", "run-1"],
    ["report", "run-1"],
    ["holds"],
    ["release", "kilosort4"],
]


@pytest.fixture(scope="module")
def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _run_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from spikefleet.cli.main import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_process_ends_3_when_nobody_answers_and_says_what_to_do(nobody: str) -> None:
    done = _run_process("status", "run-1", "--address", nobody)
    assert done.returncode == 3
    assert done.stdout == ""
    assert nobody in done.stderr
    assert "Next: Start it with `spikefleet serve`" in done.stderr


@pytest.mark.parametrize("reason", ["ROOM_UNREACHABLE", "CERTIFICATE_NOT_TRUSTED"])
def test_a_part_of_the_service_that_is_away_ends_3_too(reason, capsys) -> None:
    with (
        click.Context(cli) as context,
        pytest.raises(click.exceptions.Exit) as left,
        explained(context, as_json=True),
    ):
        raise ServiceError(reason, "It is away.", next_step="Call again.")
    assert left.value.exit_code == 3
    assert json.loads(capsys.readouterr().out)["error"]["code"] == reason


def test_a_process_ends_2_on_wrong_usage() -> None:
    done = _run_process("status")
    assert done.returncode == 2
    assert "name runs or batches" in done.stderr


@pytest.mark.parametrize("verb", ["status", "list", "fetch", "report"])
def test_a_program_is_told_that_nobody_answers(verb: str, nobody: str) -> None:
    arguments = next(arguments for arguments in ASKING if arguments[0] == verb)
    done = CliRunner().invoke(cli, [*arguments, "--address", nobody, "--output", "json"])
    assert done.exit_code == 3, done.output
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "UNREACHABLE"
    assert error["exit_code"] == 3
    assert error["message"]
    assert error["next_step"]


@pytest.mark.parametrize("arguments", ASKING, ids=lambda a: a[0])
def test_every_command_offers_json(arguments: list[str]) -> None:
    done = CliRunner().invoke(cli, [arguments[0], "--help"])
    assert done.exit_code == 0
    assert "--output [text|json]" in done.stdout


@pytest.mark.parametrize("before", [["--output", "json"], ["--output=json"]])
def test_output_may_stand_before_the_command_too(before: list[str], nobody: str) -> None:
    done = CliRunner().invoke(cli, [*before, "status", "run-1", "--address", nobody])
    assert done.exit_code == 3, done.output
    assert json.loads(done.stdout)["error"]["code"] == "UNREACHABLE"
    alone = CliRunner().invoke(cli, before)
    assert alone.exit_code == 2


def test_wrong_usage_is_a_document_for_a_program() -> None:
    done = CliRunner().invoke(cli, ["statsu", "run-1", "--output=json"])
    assert done.exit_code == 2
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "usage"
    assert "statsu" in error["message"]
    assert "--help" in error["next_step"]


def test_a_setting_that_does_not_exist_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEFLEET_ADRESS", "127.0.0.1:1")
    done = CliRunner().invoke(cli, ["list"])
    assert done.exit_code == 2
    assert "SPIKEFLEET_ADRESS is not a setting" in done.stderr


def test_a_refused_database_url_does_not_show_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPIKEFLEET_DATABASE_URL", "mysql://lab:geheim@db/spikefleet")
    done = CliRunner().invoke(cli, ["serve"])
    assert done.exit_code == 2
    assert "Error: database_url: use sqlite:" in done.stderr
    assert "geheim" not in done.output


def test_an_address_that_others_reach_is_not_served_unless_that_is_meant(tmp_path: Path) -> None:
    place = ["--address", "0.0.0.0:0", "--data", str(tmp_path / "data")]
    done = CliRunner().invoke(cli, ["serve", *place])
    assert done.exit_code == 2
    assert "--insecure" in done.stderr
    assert "ssh -L" in done.stderr
    assert not (tmp_path / "data").exists()


def test_the_address_comes_from_the_settings(monkeypatch: pytest.MonkeyPatch, nobody: str) -> None:
    monkeypatch.setenv("SPIKEFLEET_ADDRESS", nobody)
    done = CliRunner().invoke(cli, ["list"])
    assert done.exit_code == 3
    assert nobody in done.stderr


def test_the_version_is_the_distributions() -> None:
    done = CliRunner().invoke(cli, ["--version"])
    assert done.exit_code == 0
    assert done.stdout.startswith("spikefleet, version ")


def test_the_help_tells_each_verb_in_a_whole_sentence_in_the_order_of_use() -> None:
    done = CliRunner().invoke(cli, ["--help"])
    told = done.stdout.partition("Commands:")[2]
    assert "..." not in told
    places = [
        told.index(f"\n  {verb} ") for verb in ("serve", "submit", "watch", "fetch", "doctor")
    ]
    assert places == sorted(places)


def test_every_verb_of_the_client_is_a_command() -> None:
    verbs = {"submit", "list", "status", "watch", "cancel", "retry", "fetch", "report", "logs"}
    local = {"serve", "inspect", "simulate", "doctor", "demo", "archive", "verify", "restore"}
    verbs |= {"curate", "curations", "overview"}
    told = {"compare", "consensus", "sorters", "presets", "settings", "completion"}
    assert verbs | local | told | {"holds", "release"} == set(COMMANDS)


@pytest.mark.parametrize("verb", COMMANDS)
def test_the_table_tells_what_the_command_itself_says(verb: str) -> None:
    with click.Context(cli) as context:
        command = cli.get_command(context, verb)
    assert command is not None
    assert command.name == verb
    assert command.get_short_help_str(limit=500) == COMMANDS[verb][1]


def test_the_bare_name_gives_help_and_the_next_three_commands() -> None:
    done = CliRunner().invoke(cli, [])
    assert done.exit_code == 0
    assert "Commands:" in done.stdout
    first = done.stdout.partition("Three commands")[2]
    assert all(f"spikefleet {verb}" in first for verb in ("serve", "submit", "list"))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
def test_help_loads_no_command(arguments: list[str]) -> None:
    code = (
        "import sys; from spikefleet.cli.main import cli; "
        f"cli({arguments!r}, standalone_mode=False); "
        "print([n for n in ('grpc', 'pydantic', 'rich', 'numpy') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")


@pytest.mark.parametrize(
    "arguments",
    [["status", "run-\udcff"], ["list", "--batch", "\udcff"], ["submit", "{here}/x\udcff"]],
)
def test_a_name_that_is_no_text_is_wrong_usage_and_no_trace(
    arguments: list[str], tmp_path: Path, nobody: str
) -> None:
    (tmp_path / "x\udcff").mkdir()
    given = [argument.replace("{here}", str(tmp_path)) for argument in arguments]
    done = CliRunner().invoke(cli, [*given, "--address", nobody, "--output", "json"])
    assert done.exit_code == 2
    assert "not text in UTF-8" in json.loads(done.stdout)["error"]["message"]


def test_ctrl_c_ends_any_command_with_the_shells_own_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(address: str | None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("spikefleet.cli.runs.connected", interrupted)
    done = CliRunner().invoke(cli, ["list"])
    assert done.exit_code == 130
    assert "Aborted" not in done.output
