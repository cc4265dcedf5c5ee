"""Which rooms a process serves, whom it dials, and what it refuses before it serves anything."""

import json

import pytest
from tests.support.runner_profiles import CPU, document

from spikefleet.deploy.cluster import main

ROOMS = "ingest, preflight, curation, reporter, controller, and all"


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("SPIKEFLEET_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPIKEFLEET_DATABASE_URL", f"sqlite:///{tmp_path / 'runs.db'}")


@pytest.mark.parametrize(
    ("rooms", "told"),
    [
        ([], f"no room is named; there are {ROOMS}"),
        (["ingest", "kitchen"], f"kitchen is not a room; there are {ROOMS}"),
        (["preflight"], "room_secret_file is not set"),
    ],
)
def test_what_cannot_be_served_is_refused_with_the_next_step(rooms, told, capsys):
    assert main(rooms) == 2
    assert told in capsys.readouterr().err


def test_a_room_that_is_called_must_be_somewhere(tmp_path, monkeypatch, capsys):
    secret = tmp_path / "room-secret"
    secret.write_text("s" * 64)
    monkeypatch.setenv("SPIKEFLEET_ROOM_SECRET_FILE", str(secret))
    monkeypatch.setenv("SPIKEFLEET_CONTROLLER_ADDRESS", "controller:7311")
    assert main(["ingest"]) == 2
    assert "preflight_address must be set: ingest calls these rooms" in capsys.readouterr().err
    monkeypatch.setenv("SPIKEFLEET_PREFLIGHT_ADDRESS", "nowhere")
    assert main(["ingest"]) == 2
    assert "preflight_address: Value error, an address is HOST:PORT" in capsys.readouterr().err


@pytest.mark.parametrize("secret", ["x", "fifteen bytes!!"])
def test_a_secret_that_can_be_guessed_is_refused(tmp_path, monkeypatch, capsys, secret):
    file = tmp_path / "room-secret"
    file.write_text(secret + "\n")
    monkeypatch.setenv("SPIKEFLEET_ROOM_SECRET_FILE", str(file))
    assert main(["preflight"]) == 2
    said = capsys.readouterr().err
    assert "room_secret_file" in said
    assert "16 at least" in said


@pytest.mark.parametrize(
    ("setting", "rooms"),
    [
        ("ROOM_SECRET_FILE", ["preflight"]),
        ("DATABASE_PASSWORD_FILE", ["--migrate"]),
        ("RUNNERS_FILE", ["all"]),
    ],
)
def test_a_file_that_is_not_there_is_told_with_its_setting(
    tmp_path, monkeypatch, capsys, setting, rooms
):
    monkeypatch.setenv("SPIKEFLEET_ADDRESS", "127.0.0.1:0")
    monkeypatch.setenv(f"SPIKEFLEET_{setting}", str(tmp_path / "absent"))
    assert main(rooms) == 2
    said = capsys.readouterr().err
    assert setting.lower() in said
    assert "No such file" in said
    assert "Traceback" not in said


def test_a_controller_without_a_cluster_says_so_and_what_to_do(tmp_path, monkeypatch, capsys):
    runners = tmp_path / "runners.json"
    runners.write_text(json.dumps(document(profiles={"default": CPU})))
    monkeypatch.setenv("SPIKEFLEET_ADDRESS", "127.0.0.1:0")
    monkeypatch.setenv("SPIKEFLEET_RUNNERS_FILE", str(runners))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["all"]) == 2
    assert "run the controller in one, or name a kubeconfig" in capsys.readouterr().err


def test_the_database_is_brought_to_this_release_and_twice_is_once(capsys):
    assert [main(["--migrate"]), main(["--migrate"])] == [0, 0]
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert "schema version" in first
