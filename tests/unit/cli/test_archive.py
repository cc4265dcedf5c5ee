"""archive, verify and restore on the command line: what is said, and the exit codes."""

from __future__ import annotations

import json
import os

import pytest
from click.testing import CliRunner
from tests.support.archives import neural_like, save_folder

from spikefleet.cli.main import cli


def _run(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def recording(tmp_path):
    return save_folder(neural_like(2_000, 3), tmp_path / "rec")


def test_an_archive_is_written_verified_and_inspected(recording, tmp_path):
    done = _run("archive", recording, tmp_path / "out", "--output", "json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["ratio"] > 1
    assert document["streams"]["traces"]["codec"]["id"] == "pcodec"
    verified = _run("verify", tmp_path / "out", "--output", "json")
    assert verified.exit_code == 0
    assert json.loads(verified.stdout)["whole"] is True
    assert "archive" in _run("inspect", tmp_path / "out").stdout


def test_people_read_a_sentence(recording, tmp_path):
    assert "ratio" in _run("archive", recording, tmp_path / "out").stdout
    assert "is whole" in _run("verify", tmp_path / "out").stdout


def test_a_damaged_archive_ends_in_exit_code_1_and_names_the_object(recording, tmp_path):
    _run("archive", recording, tmp_path / "out")
    (tmp_path / "out/streams/0/traces_seg0/1.0").unlink()
    done = _run("verify", tmp_path / "out")
    assert done.exit_code == 1
    assert "traces_seg0/1.0" in done.stdout
    assert "Do not delete the source" in done.stdout


def test_a_folder_that_is_no_archive_is_not_called_damaged(recording, tmp_path):
    done = _run("verify", recording)
    assert done.exit_code == 1
    assert "is not an archive" in done.stderr
    assert "run the command again" in done.stderr
    assert "damaged" not in done.output


def test_where_there_is_no_terminal_a_bar_leaves_no_empty_line(recording, tmp_path):
    assert _run("archive", recording, tmp_path / "out").stderr == ""


def test_an_existing_target_is_refused(recording, tmp_path):
    (tmp_path / "out").mkdir()
    done = _run("archive", recording, tmp_path / "out")
    assert done.exit_code == 1
    assert "already there" in done.stderr


def test_the_original_files_come_back_or_the_damage_is_named(recording, tmp_path):
    _run("archive", recording, tmp_path / "out")
    done = _run("restore", tmp_path / "out", tmp_path / "back", "--output", "json")
    assert done.exit_code == 0, done.output
    for file in json.loads(done.stdout)["files"]:
        assert (tmp_path / "back" / file["path"]).read_bytes() == (
            recording / file["path"]
        ).read_bytes()
    (tmp_path / "out/streams/0/traces_seg0/1.0").unlink()
    done = _run("restore", tmp_path / "out", tmp_path / "again", "--output", "json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["next_step"]
    assert not (tmp_path / "again").exists()


def test_an_archive_is_described_as_its_recording_was(recording, tmp_path):
    _run("archive", recording, tmp_path / "out")
    ours, theirs = (
        json.loads(_run("inspect", path, "--output", "json").stdout)["streams"][0]
        for path in (tmp_path / "out", recording)
    )
    for name in ("n_samples", "n_channels", "sampling_rate_hz", "dtype", "scale", "findings"):
        assert ours[name] == theirs[name]
    assert ours["probe"] == theirs["probe"]


def test_what_is_no_archive_ends_in_a_sentence(recording, tmp_path):
    for command in (("verify", recording), ("restore", recording, tmp_path / "back")):
        done = _run(*command)
        assert done.exit_code == 1
        assert "archive.json" in done.stdout + done.stderr


def _fifo(path, outside):
    os.mkfifo(path)


def _device(path, outside):
    path.symlink_to("/dev/zero")


def _kernels(path, outside):
    path.symlink_to("/proc/self/environ")


def _outside(path, outside):
    outside.write_text("secret")
    path.symlink_to(outside)


@pytest.mark.parametrize("make", [_fifo, _device, _kernels, _outside])
@pytest.mark.parametrize("name", ["more.dat", "traces_cached_seg0.raw"])
def test_only_plain_files_of_the_recording_itself_are_archived(recording, tmp_path, make, name):
    (recording / name).unlink(missing_ok=True)
    make(recording / name, tmp_path / "secret")
    done = _run("archive", recording, tmp_path / "out", "--output", "json")
    assert done.exit_code == 1
    error = json.loads(done.stdout)["error"]
    assert name in error["message"]
    assert error["next_step"]
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.name != "secret") == ["rec"]
