"""Where recordings may lie: real folders, links, FIFOs and the kernel's own places."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from spikefleet.infra.rpc.access import Caller
from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.ingest.places import RecordingRoots

OPERATOR = Caller(uid=0, is_operator=True)
STRANGER = Caller(uid=12345)


def refusal(call, *arguments) -> RpcProblem:  # type: ignore[no-untyped-def]
    with pytest.raises(RpcProblem) as caught:
        call(*arguments)
    return caught.value


def test_without_roots_the_operator_alone_registers_in_place(tmp_path: Path) -> None:
    assert RecordingRoots().resolve(str(tmp_path), OPERATOR) == tmp_path.resolve()
    for somebody in (STRANGER, Caller()):
        refused = refusal(RecordingRoots().resolve, str(tmp_path), somebody)
        assert refused.reason == "PATH_NOT_ALLOWED"


def test_with_roots_everybody_registers_below_them_and_nobody_elsewhere(tmp_path: Path) -> None:
    roots = RecordingRoots((tmp_path / "lab",))
    (tmp_path / "lab" / "night").mkdir(parents=True)
    (tmp_path / "lab" / "out").symlink_to(tmp_path)
    for caller in (OPERATOR, STRANGER, Caller()):
        assert roots.resolve(str(tmp_path / "lab" / "night"), caller).name == "night"
        for outside in (tmp_path, tmp_path / "lab" / ".." / "x", tmp_path / "lab" / "out"):
            assert refusal(roots.resolve, str(outside), caller).reason == "PATH_NOT_ALLOWED"


@pytest.mark.parametrize(
    "path",
    ["/proc/self/environ", "/sys/kernel", "/dev/zero", "/dev/shm", "/run/lock", "/dev/stdin"],
)
def test_the_kernels_places_are_no_recordings(path: str) -> None:
    assert refusal(RecordingRoots().resolve, path, OPERATOR).reason == "PATH_REFUSED"


def test_a_link_to_the_kernels_places_is_none_either(tmp_path: Path) -> None:
    (tmp_path / "rec.raw").symlink_to("/proc/self/mem")
    refused = refusal(RecordingRoots().resolve, str(tmp_path / "rec.raw"), OPERATOR)
    assert refused.reason == "PATH_REFUSED"


@pytest.mark.parametrize("path", ["relative/a", "", "/a\0b", "/" + "x" * 5000])
def test_what_is_no_path_is_refused_as_such(path: str) -> None:
    assert refusal(RecordingRoots().resolve, path, OPERATOR).reason == "INVALID_ARGUMENT"


def test_a_fifo_and_a_socket_are_refused_alone_and_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    folder.mkdir()
    os.mkfifo(folder / "traces.raw")
    assert refusal(RecordingRoots().resolve, str(folder / "traces.raw"), OPERATOR).message
    assert "a FIFO" in refusal(RecordingRoots().require_no_traps, folder).message
    (folder / "traces.raw").unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "s"))
        assert "a socket" in refusal(RecordingRoots().require_no_traps, folder).message


def test_a_link_out_of_the_recording_is_refused_one_inside_it_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    folder.mkdir()
    (folder / "a.bin").write_bytes(b"a")
    (folder / "again.bin").symlink_to("a.bin")
    (folder / "gone.bin").symlink_to("nowhere")
    RecordingRoots().require_no_traps(folder)
    (tmp_path / "secret").write_text("secret")
    (folder / "b.bin").symlink_to(tmp_path / "secret")
    assert "is a link to" in refusal(RecordingRoots().require_no_traps, folder).message
    RecordingRoots((tmp_path,)).require_no_traps(folder)
    (folder / "b.bin").unlink()
    (folder / "sub").symlink_to("/etc")
    assert refusal(RecordingRoots().require_no_traps, folder).reason == "PATH_REFUSED"


def test_content_of_the_same_annex_is_part_of_the_recording(tmp_path: Path) -> None:
    objects = tmp_path / "repo" / ".git" / "annex" / "objects" / "x"
    objects.mkdir(parents=True)
    (objects / "key").write_bytes(b"samples")
    folder = tmp_path / "repo" / "night"
    folder.mkdir()
    (folder / "a.bin").symlink_to(objects / "key")
    RecordingRoots().require_no_traps(folder)
    RecordingRoots().require_inside(folder, [folder / "a.bin"])
    stolen = tmp_path / "night"
    stolen.mkdir()
    (stolen / "a.bin").symlink_to(objects / "key")
    assert refusal(RecordingRoots().require_no_traps, stolen).reason == "PATH_REFUSED"


def test_a_file_replaced_by_a_link_after_it_was_checked_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the operator's")
    root = tmp_path / "lab"
    root.mkdir()
    (root / "file").symlink_to(tmp_path / "secret")
    places = RecordingRoots((root,))
    with pytest.raises(RpcProblem, match="replaced"), places.opened(root, root / "file"):
        pass


def test_what_was_opened_stays_the_same_file_whatever_takes_its_name(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("checked")
    with RecordingRoots((tmp_path,)).opened(tmp_path, file) as same:
        file.unlink()
        file.write_text("another")
        assert same.read_text() == "checked"
