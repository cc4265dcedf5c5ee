"""The warm process that a launcher left: taken once, and never in the way of a cold start."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.support.attempts import is_running

from spikefleet.runner.warm_child import WarmChild

ANSWERS = """
import socket, sys
parent = socket.socket(fileno=int(sys.argv[1]))
words, log, _, _ = socket.recv_fds(parent, 1 << 16, 1)
parent.send(sys.argv[2].encode())
import os
os.write(log[0], words)
sys.exit(7)
"""


@pytest.fixture
def waiting() -> Iterator[Callable[[str], WarmChild]]:
    """Start a process that answers so; its place is taken over by a WarmChild."""
    started: list[subprocess.Popen[bytes]] = []

    def start(answer: str) -> WarmChild:
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            number = its.fileno()
            command = [sys.executable, "-c", ANSWERS, str(number), answer]
            started.append(subprocess.Popen(command, pass_fds=(number,)))
        return WarmChild(f"{mine.detach()}:{started[-1].pid}")

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_one_that_agrees_becomes_the_child(
    waiting: Callable[[str], WarmChild], tmp_path: Path
) -> None:
    warm = waiting("agreed")
    with (tmp_path / "log").open("wb") as log:
        child = warm.start(tmp_path, {"A": "1"}, tmp_path, log.fileno())
        assert warm.start(tmp_path, {"A": "1"}, tmp_path, log.fileno()) is None
    assert child is not None
    assert child.wait(30) == child.poll() == child.returncode == 7
    assert '"A": "1"' in (tmp_path / "log").read_text()


@pytest.mark.parametrize("answer", ["other versions of numpy", ""])
def test_one_that_refuses_is_ended_and_the_child_starts_cold(
    waiting: Callable[[str], WarmChild], tmp_path: Path, answer: str
) -> None:
    warm = waiting(answer)
    (pid,) = (process.pid for process in _children())
    with (tmp_path / "log").open("wb") as log:
        assert warm.start(tmp_path, {}, tmp_path, log.fileno()) is None
    assert not is_running(pid)


def test_an_environment_that_is_not_known_is_never_had_warm(
    waiting: Callable[[str], WarmChild], tmp_path: Path
) -> None:
    warm = waiting("agreed")
    assert warm.start(tmp_path, None, tmp_path, 2) is None
    (pid,) = (process.pid for process in _children())
    warm.close()
    assert not is_running(pid)


@pytest.mark.parametrize("place", ["", "3", "x:y", "9999:1"])
def test_without_one_every_child_starts_cold(place: str, tmp_path: Path) -> None:
    warm = WarmChild(place)
    assert warm.start(tmp_path, {}, tmp_path, 2) is None
    warm.close()


def test_a_process_of_somebody_else_is_not_taken(tmp_path: Path) -> None:
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        warm = WarmChild(f"{mine.detach()}:{os.getppid()}")
        assert warm.start(tmp_path, {}, tmp_path, 2) is None
        warm.close()
    assert is_running(os.getppid())


def _children() -> list[psutil.Process]:
    """The stand-ins; other tests may have processes under way here."""
    return [process for process in psutil.Process().children() if ANSWERS in process.cmdline()]
