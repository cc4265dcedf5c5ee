"""Which rooms a process serves, whom it dials, and what it refuses before it serves anything."""

import pytest

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


def test_the_database_is_brought_to_this_release_and_twice_is_once(capsys):
    assert [main(["--migrate"]), main(["--migrate"])] == [0, 0]
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert "schema version" in first
