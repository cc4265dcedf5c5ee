"""A log that grows without end keeps its head and its tail, and says what it lost."""

import subprocess
import sys
from pathlib import Path

from tests.support.attempts import wait_for

from spikefleet.runner.child_log import BoundedLog

KIB = 1 << 10
FLOOD = """
import sys
sys.stdout.write("the first line\\n")
for number in range(40_000):
    sys.stdout.write(f"line {number:06d}\\n")
    if number % 100 == 0:
        sys.stdout.flush()
        sys.stdin.readline()
sys.stdout.write("the last line\\n")
"""


def bounded(path: Path) -> BoundedLog:
    return BoundedLog(path, most_bytes=64 * KIB, head_bytes=4 * KIB, tail_bytes=16 * KIB)


def test_a_log_within_its_bounds_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "child.log"
    path.write_bytes(b"x" * 64 * KIB)
    assert bounded(path).keep() is False
    assert path.read_bytes() == b"x" * 64 * KIB


def test_the_head_and_the_tail_of_a_long_one_stay_with_the_number_of_bytes_lost(
    tmp_path: Path,
) -> None:
    path = tmp_path / "child.log"
    path.write_bytes(b"h" * 4 * KIB + b"m" * 80 * KIB + b"t" * 16 * KIB)
    assert bounded(path).keep() is True
    head, note, tail = path.read_bytes().split(b"\n")
    assert (head, tail) == (b"h" * 4 * KIB, b"t" * 16 * KIB)
    assert note.startswith(b"[spikefleet: %d bytes of the log were left out" % (80 * KIB))


def test_a_process_that_writes_on_is_cut_again_and_every_byte_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "child.log"
    with path.open("ab") as out:
        writer = subprocess.Popen(
            [sys.executable, "-c", FLOOD], stdin=subprocess.PIPE, stdout=out, bufsize=0
        )
    assert writer.stdin is not None
    log, written = bounded(path), 0
    for _ in range(400):
        before = path.stat().st_size
        writer.stdin.write(b"\n")
        written += 1200
        wait_for(lambda before=before: path.stat().st_size > before or writer.poll() is not None)
        log.keep()
        assert path.stat().st_size <= 80 * KIB
    writer.communicate()
    log.keep()
    text = path.read_text()
    assert text.startswith("the first line\nline 000000\n")
    assert text.endswith("line 039999\nthe last line\n")
    (note,) = (line for line in text.splitlines() if line.startswith("[spikefleet"))
    assert f" {log.left_out} bytes " in note
    total = 40_000 * 12 + len("the first line\n") + len("the last line\n")
    assert log.left_out + len(text) - len(note) - 2 == total


def test_a_log_that_is_not_there_or_no_file_is_no_trouble(tmp_path: Path) -> None:
    assert bounded(tmp_path / "absent.log").keep() is False
    long = tmp_path / "elsewhere"
    long.write_bytes(b"x" * 100 * KIB)
    (tmp_path / "link.log").symlink_to(long)
    assert bounded(tmp_path / "link.log").keep() is False
    assert long.stat().st_size == 100 * KIB
