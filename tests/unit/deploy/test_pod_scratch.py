"""Scratch on a volume that outlives pods: emptied at the end, swept of the dead only."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spikefleet.deploy.pod_scratch import MARK, SILENT_S, PodScratch

HOLD = """
import pathlib, sys
from spikefleet.deploy.pod_scratch import PodScratch
scratch = PodScratch(pathlib.Path(sys.argv[1]), sys.argv[2], stays=True)
scratch.take()
print("taken", flush=True)
sys.stdin.read()
"""


def taken(root: Path, name: str) -> PodScratch:
    scratch = PodScratch(root, name, stays=True)
    scratch.take()
    return scratch


def died(root: Path, name: str, silent_s: float) -> Path:
    """What a pod that was killed leaves: its mark, its files, and nobody who holds its lock."""
    subprocess.run(
        [sys.executable, "-c", HOLD, str(root), name], input=b"", check=True, capture_output=True
    )
    folder = root / name
    (folder / "input").mkdir()
    (folder / "input" / "traces.dat").write_bytes(b"x" * 100)
    grow_old(folder / MARK, silent_s)
    return folder


def grow_old(mark: Path, by_s: float) -> None:
    at_s = mark.stat().st_mtime - by_s
    os.utime(mark, (at_s, at_s))


def test_what_a_dead_pod_left_is_swept(tmp_path: Path) -> None:
    folder = died(tmp_path, "dead", SILENT_S + 60)
    assert taken(tmp_path, "mine").sweep() == ["dead"]
    assert not folder.exists()


def test_a_pod_that_was_heard_of_lately_is_left_alone(tmp_path: Path) -> None:
    folder = died(tmp_path, "ended", SILENT_S - 60)
    assert taken(tmp_path, "mine").sweep() == []
    assert (folder / "input" / "traces.dat").exists()


def test_a_live_pod_is_left_alone_however_long_it_was_silent(tmp_path: Path) -> None:
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), "live"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert held.stdout is not None
    assert held.stdout.readline() == b"taken\n"
    grow_old(tmp_path / "live" / MARK, 10 * SILENT_S)
    assert taken(tmp_path, "mine").sweep() == []
    held.communicate(b"")
    assert (tmp_path / "live").exists()


@pytest.mark.parametrize("words", [None, b"somebody's"])
def test_what_is_not_ours_is_left_alone(tmp_path: Path, words: bytes | None) -> None:
    other = tmp_path / "lost+found"
    other.mkdir()
    (other / "keep").write_bytes(b"x")
    if words is not None:
        (other / MARK).write_bytes(words)
        grow_old(other / MARK, 10 * SILENT_S)
    (tmp_path / "a-file").write_bytes(b"x")
    assert taken(tmp_path, "mine").sweep() == []
    assert (other / "keep").exists()


def test_no_link_of_a_sorter_leads_out_of_its_folder(tmp_path: Path) -> None:
    precious = tmp_path / "elsewhere"
    precious.mkdir()
    (precious / "data").write_bytes(b"x")
    root = tmp_path / "volume"
    root.mkdir()
    folder = died(root, "dead", SILENT_S + 60)
    (folder / "out").symlink_to(precious)
    (folder / "input" / "out").symlink_to(precious)
    (root / "link").symlink_to(died(tmp_path, "beside", 10 * SILENT_S))
    assert taken(root, "mine").sweep() == ["dead"]
    assert (precious / "data").exists()
    assert (tmp_path / "beside").exists()


def test_a_pod_that_ends_empties_its_own_folder(tmp_path: Path) -> None:
    scratch = taken(tmp_path, "mine")
    closed = scratch.folder / "sorter" / "closed"
    closed.mkdir(parents=True)
    (closed / "x").write_bytes(b"x")
    closed.chmod(0)
    scratch.empty()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_removal_was_cut_short_is_swept_later(tmp_path: Path) -> None:
    folder = died(tmp_path, "dead", SILENT_S + 60)
    (folder / "input" / "traces.dat").unlink()
    assert taken(tmp_path, "mine").sweep() == ["dead"]


def test_a_volume_that_goes_with_its_pod_is_neither_marked_nor_emptied(tmp_path: Path) -> None:
    died(tmp_path, "dead", SILENT_S + 60)
    scratch = PodScratch(tmp_path, "mine", stays=False)
    scratch.take()
    assert scratch.sweep() == []
    scratch.empty()
    assert scratch.folder.exists()
    assert not (scratch.folder / MARK).exists()
