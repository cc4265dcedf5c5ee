"""One service per data folder; the kernel lets go of the claim when a service dies."""

import subprocess
import sys
from pathlib import Path

import pytest

from spikefleet.deploy.service_file import (
    DataFolderBusyError,
    DataFolderOpenError,
    announce,
    claim,
    read_service_file,
    withdraw,
)

HOLD = """
import sys, time
from pathlib import Path
from spikefleet.deploy.service_file import announce, claim
with claim(Path(sys.argv[1])):
    announce(Path(sys.argv[1]), address="127.0.0.1:1", metrics_port=2, version="0")
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_service_on_the_folder_is_refused_and_told_where_the_first_is(tmp_path: Path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DataFolderBusyError, match=r"127\.0\.0\.1:1"), claim(tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()
    with claim(tmp_path):
        assert read_service_file(tmp_path) is not None


def test_an_announcement_is_read_back_and_withdrawn(tmp_path: Path):
    said = announce(tmp_path, address="127.0.0.1:7311", metrics_port=9, version="0.1.0")
    assert read_service_file(tmp_path) == said
    withdraw(tmp_path)
    assert read_service_file(tmp_path) is None
    withdraw(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"address": "x"}'])
def test_a_damaged_announcement_is_no_announcement(tmp_path: Path, text):
    (tmp_path / "service.json").write_text(text)
    assert read_service_file(tmp_path) is None


def test_a_new_data_folder_is_its_users_alone(tmp_path: Path):
    with claim(tmp_path / "deep" / "data"):
        assert (tmp_path / "deep" / "data").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_everybody_may_write_to_is_refused(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)
    with pytest.raises(DataFolderOpenError, match="chmod 700"), claim(tmp_path / "data"):
        pass


def test_a_folder_that_others_may_read_is_told_and_left_as_it_is(tmp_path: Path, caplog):
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o755)
    with claim(tmp_path / "data"):
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o755
    assert [record.message for record in caplog.records] == ["data.open_to_others"]
