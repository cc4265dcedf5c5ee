"""Who may write, use and remove prepared copies, shown with processes that are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.support.recordings import make_recording

from spikefleet.core.config.recording import RecordingConfig
from spikefleet.signal.open import open_recording
from spikefleet.signal.preparing.prepare import PrepareOptions, prepare_recording
from spikefleet.signal.preparing.prepared_place import KEEP_S, PreparedCopies, PreparedPlace

# Prepares a copy slowly; says "reused" or "wrote" and holds its claim until its input is closed.
PREPARES = """
import sys, time
from pathlib import Path
from spikefleet.core.config.recording import RecordingConfig
from spikefleet.signal.open import open_recording
from spikefleet.signal.preparing.prepare import PrepareOptions, prepare_recording
from spikefleet.signal.preparing.prepared_place import PreparedPlace
source, root, pause_s = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])

def progress(fraction):
    print(f"{fraction:.2f}", flush=True)
    time.sleep(pause_s if fraction < 1 else 0)

import spikefleet.signal.preparing.prepared_copy as copy
copy._BLOCK_BYTES = 1 << 20
options = PrepareOptions(
    progress=progress, recording_digest="bytes", place=PreparedPlace(root), implementation="scipy"
)
prepared = prepare_recording(open_recording(source), RecordingConfig(), root, options)
checksum = int(prepared.recording.get_traces().astype("int64").sum())
print("reused" if prepared.reused else "wrote", checksum, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return make_recording(tmp_path_factory.mktemp("source"), "maxwell", 8.0, 16).path


def start(source: Path, root: Path, pause_s: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PREPARES, str(source), str(root), str(pause_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def last_word(process: subprocess.Popen[str]) -> list[str]:
    """The line a process says when its copy is ready."""
    assert process.stdout is not None
    return next(line.split() for line in process.stdout if line[0].isalpha())


def end(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.communicate(timeout=30)


def test_two_processes_that_want_one_copy_write_it_once(source, tmp_path) -> None:
    both = [start(source, tmp_path, 0.02) for _ in range(2)]
    said = [last_word(process) for process in both]
    assert sorted(word for word, _ in said) == ["reused", "wrote"]
    assert len({checksum for _, checksum in said}) == 1
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1
    end(*both)


def test_the_half_written_copy_of_a_killed_process_is_never_used(source, tmp_path) -> None:
    whole = start(source, tmp_path / "whole", 0.0)
    _, checksum = last_word(whole)
    end(whole)
    root = tmp_path / "killed"
    victim = start(source, root, 0.2)
    assert victim.stdout is not None
    victim.stdout.readline()
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait(10)
    (partial,) = root.glob(".prepared-*.partial")
    assert any(partial.iterdir())
    after = start(source, root, 0.0)
    assert last_word(after) == ["wrote", checksum]
    end(after)
    assert not list(root.glob(".prepared-*.partial"))


def test_a_copy_in_use_is_not_removed_whoever_wants_its_room(source, tmp_path) -> None:
    user = start(source, tmp_path, 0.0)
    last_word(user)
    (copy,) = (path for path in tmp_path.iterdir() if path.is_dir())
    PreparedCopies(tmp_path).make_room(10**18)
    PreparedCopies(tmp_path).tidy(now=time.time() + 2 * KEEP_S)
    assert (copy / "prepared.json").is_file()
    end(user)
    PreparedCopies(tmp_path).make_room(10**18)
    assert list(tmp_path.iterdir()) == []


def prepared_in(place: PreparedPlace, source: Path, **config: float):
    options = PrepareOptions(recording_digest="bytes", place=place)
    return prepare_recording(open_recording(source), RecordingConfig(**config), place.root, options)


def test_copies_wait_a_day_for_the_retry_of_what_failed(source, tmp_path) -> None:
    place = PreparedPlace(tmp_path)
    prepared = prepared_in(place, source)
    assert prepared.claim is not None
    prepared.claim.release()  # as the kernel does for a process that ended badly
    PreparedCopies(tmp_path).tidy(now=time.time() + KEEP_S - 60)
    assert prepared.folder is not None
    assert prepared.folder.is_dir()
    assert prepared_in(place, source).reused
    PreparedCopies(tmp_path).tidy(now=time.time() + KEEP_S + 60)


def test_copies_of_what_succeeded_may_fill_a_share_of_the_disk_only(
    source, tmp_path, monkeypatch
) -> None:
    place = PreparedPlace(tmp_path)
    for low_hz in (300.0, 301.0, 302.0):
        prepared_in(place, source, freq_min=low_hz).release()
    size_bytes = 8 * 20_000 * 16 * 2
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 3
    monkeypatch.setattr(
        "spikefleet.signal.preparing.prepared_place.shutil.disk_usage",
        lambda _: SimpleNamespace(free=10 * (size_bytes + 100_000)),
    )
    PreparedCopies(tmp_path).tidy()
    (kept,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert prepared_in(place, source, freq_min=302.0).folder == kept


def test_a_process_that_waits_says_so(source, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("spikefleet.signal.preparing.prepared_place._SAY_AGAIN_S", 0.0)
    writer = start(source, tmp_path, 0.1)
    assert writer.stdout is not None
    writer.stdout.readline()
    waited: list[float] = []
    options = PrepareOptions(
        recording_digest="bytes",
        place=PreparedPlace(tmp_path),
        on_wait=lambda: waited.append(time.monotonic()),
        implementation="scipy",
    )
    prepared = prepare_recording(open_recording(source), RecordingConfig(), tmp_path, options)
    assert prepared.reused
    assert waited
    end(writer)


def test_every_recording_has_a_place_of_its_own_and_all_share_the_room(source, tmp_path) -> None:
    copies = PreparedCopies(tmp_path)
    first, second = copies.place("a" * 64), copies.place("b" * 64)
    assert first.root != second.root
    for place in (first, second):
        prepared_in(place, source).release()
    os.utime(next(first.root.glob("*.lock")), (1, 1))
    copies.make_room(10**18)
    assert [path for place in (first, second) for path in place.root.iterdir()] == []


def test_a_place_that_is_a_link_is_never_tidied(source, tmp_path) -> None:
    elsewhere, shared = tmp_path / "elsewhere", tmp_path / "shared"
    prepared_in(PreparedPlace(elsewhere), source).release()
    shared.mkdir()
    (shared / "recording-x").symlink_to(elsewhere)
    PreparedCopies(shared).make_room(10**18)
    assert any(path.is_dir() for path in elsewhere.iterdir())
