"""Nothing a reader could wait for or be led by is opened, in whichever format it poses."""

import os
import socket

import pytest
from tests.support.hostile.genuine import GENUINE

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.formats.plain_files import require_no_way_out, require_plain_files
from spikefleet.signal.measuring.summary import inspect_recording
from spikefleet.signal.open import list_streams, open_recording

FOLDERS = ["spikeglx", "open ephys", "intan per channel", "neuralynx", "spikeinterface folder"]


@pytest.fixture(params=FOLDERS)
def recording(request, tmp_path):
    return GENUINE[request.param](tmp_path / "rig")


def test_a_fifo_in_a_recording_is_not_waited_for(recording):
    os.mkfifo(recording / "waits.dat")
    for look in (list_streams, open_recording):
        with pytest.raises(InputCorruptError, match="a FIFO") as caught:
            look(recording)
        assert caught.value.reason == "unsafe"


def test_a_socket_beside_a_file_of_its_name_is_refused(tmp_path):
    (tmp_path / "a.ns5").write_bytes(b"x")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "a.ns6"))
        with pytest.raises(InputCorruptError, match="a socket"):
            require_plain_files(tmp_path / "a.ns5")
    (tmp_path / "b.ns5").write_bytes(b"x")
    require_plain_files(tmp_path / "b.ns5")


def test_a_device_behind_a_link_is_refused(tmp_path):
    (tmp_path / "a.raw").symlink_to("/dev/zero")
    with pytest.raises(InputCorruptError, match="a device"):
        require_plain_files(tmp_path / "a.raw")


def test_a_link_out_of_a_recording_is_not_followed_by_inspect(recording, tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"secret")
    (recording / "more.dat").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputCorruptError, match="not part of the recording"):
        inspect_recording(recording)


def test_links_within_a_recording_and_into_git_annex_are_followed(tmp_path):
    store = tmp_path / ".git" / "annex" / "objects" / "x"
    store.mkdir(parents=True)
    (store / "key").write_bytes(b"x")
    folder = tmp_path / "rec"
    folder.mkdir()
    (folder / "a.bin").write_bytes(b"x")
    (folder / "same").symlink_to("a.bin")
    (folder / "annexed").symlink_to(store / "key")
    (folder / "gone").symlink_to(store / "other")
    require_plain_files(folder)
    require_no_way_out(folder)


@pytest.mark.parametrize("layout", GENUINE)
def test_no_format_follows_its_samples_out_of_the_recording_and_all_do_into_git_annex(
    layout, tmp_path
):
    rig = tmp_path / "rig"
    rig.mkdir()
    path = GENUINE[layout](rig)
    folder = path if path.is_dir() else path.parent
    largest = max((f for f in folder.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    elsewhere = tmp_path / "elsewhere" / "annex" / "objects"
    elsewhere.mkdir(parents=True)
    largest.rename(elsewhere / "key")
    largest.symlink_to(elsewhere / "key")
    with pytest.raises(InputCorruptError, match="not part of the recording") as caught:
        inspect_recording(folder)
    assert caught.value.reason == "unsafe"
    annexed = rig / ".git" / "annex" / "objects" / "x" / "key"
    annexed.parent.mkdir(parents=True)
    (elsewhere / "key").rename(annexed)
    largest.unlink()
    largest.symlink_to(annexed)
    require_no_way_out(folder)
    assert list_streams(path).streams
