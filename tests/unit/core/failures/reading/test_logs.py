"""Bounded reading: any size, any line length, any bytes."""

import os

import pytest

from spikefleet.core.failures.reading.logs import (
    MAX_LOG_BYTES,
    last_lines,
    lines_with,
    read_log_head,
    read_log_tail,
    start_of_last_lines,
)


@pytest.fixture
def huge(tmp_path):
    """A log of 3 GB that takes no room, with words at both ends."""
    path = tmp_path / "huge.log"
    with path.open("wb") as handle:
        handle.write(b"found 7 threshold crossings in 2.0 seconds of data\n")
        handle.seek(3 << 30)
        handle.write(b"\nOSError: [Errno 28] No space left on device\n")
    return path


def test_a_log_of_gigabytes_costs_what_a_short_one_costs(huge):
    assert read_log_tail(huge).endswith("No space left on device\n")
    assert len(read_log_tail(huge, 1 << 40)) <= MAX_LOG_BYTES
    assert "7 threshold crossings" in read_log_head(huge)
    assert len(read_log_head(huge, 1 << 40)) <= MAX_LOG_BYTES


def test_a_last_line_longer_than_the_window_is_still_read(tmp_path):
    path = tmp_path / "one-line.log"
    path.write_bytes(b"start\n" + b"x" * 500_000 + b" CUDA error: out of memory\n")
    tail = read_log_tail(path)
    assert tail.endswith("CUDA error: out of memory\n")
    assert len(tail) <= 262_144


def test_random_bytes_are_read_as_text(tmp_path):
    path = tmp_path / "junk.log"
    path.write_bytes(os.urandom(300_000))
    assert "\0" not in read_log_tail(path)
    assert isinstance(read_log_head(path), str)


@pytest.mark.parametrize("read", [read_log_head, read_log_tail])
def test_what_cannot_be_read_is_empty(read, tmp_path):
    assert read(tmp_path / "none.log") == ""
    assert read(tmp_path) == ""


def test_lines_come_last_first_and_are_cut_around_the_mark():
    text = "a mark 1\nother\nb mark 2\n" + "x" * 5000 + " mark 3 " + "y" * 5000
    found = [line.text for line in lines_with(text, "mark")]
    assert found[1:] == ["b mark 2", "a mark 1"]
    assert "mark 3" in found[0]
    assert len(found[0]) <= 1200


def test_looking_for_lines_ends_however_many_there_are():
    assert len(list(lines_with("mark\n" * 100_000, "mark"))) == 20


def test_the_last_lines_are_those_with_words():
    text = "one\n\ntwo\n   \nthree\n\n"
    assert last_lines(text, 2) == ["two", "three"]
    assert text[start_of_last_lines(text, 2) :].split() == ["two", "three"]
    assert start_of_last_lines(text, 9) == 0
    assert last_lines("", 3) == []
