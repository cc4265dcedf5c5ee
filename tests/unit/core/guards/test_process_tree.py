"""Processes as the kernel tells them: real children, real CPU time, real waiting."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.support.attempts import wait_for

from spikefleet.core.guards.process_tree import ProcessTree

# A process between clone(CLONE_VFORK) and its child's end is in real uninterruptible sleep.
WAIT_LIKE_FOR_A_DISK = """
import ctypes, platform, signal, sys, time
clone = {"x86_64": 56, "aarch64": 220}[platform.machine()]
if ctypes.CDLL(None).syscall(clone, 0x4000 | signal.SIGCHLD, 0, 0, 0, 0) == 0:
    time.sleep(600)
"""


@contextmanager
def running(code: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_without_children_there_is_nothing_to_read() -> None:
    with running("import time; time.sleep(600)") as childless:
        assert ProcessTree(childless.pid).read() is None
    assert ProcessTree(1 << 30).read() is None


def test_cpu_time_and_bytes_of_descendants_add_up_and_never_shrink() -> None:
    work = (
        "import subprocess, sys, time\n"
        "code = 'x = 0\\nwhile True: x += 1'\n"
        "subprocess.Popen([sys.executable, '-c', code]).wait()"
    )
    tree = ProcessTree(os.getpid())
    with running(work):
        wait_for(lambda: (sample := tree.read()) is not None and sample.cpu_s > 0.3)
        before = tree.read()
    assert before is not None
    assert before.moved_bytes
    with running("import time; open('/dev/null', 'w').write('x' * 100000); time.sleep(600)"):
        wait_for(lambda: (sample := tree.read()) is not None and sample.n_processes == 1)
        after = tree.read()
    assert after is not None
    assert after.cpu_s >= before.cpu_s, "what the ended ones used is not forgotten"
    assert (after.moved_bytes or 0) >= before.moved_bytes


def test_grandchildren_can_be_left_out() -> None:
    nested = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', "
        "'import time; time.sleep(600)']).wait()"
    )
    with running(nested):
        everyone, nearest = ProcessTree(), ProcessTree(include_descendants=False)
        wait_for(lambda: (sample := everyone.read()) is not None and sample.n_processes == 2)
        sample = nearest.read()
    assert sample is not None
    assert sample.n_processes == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of waiting threads")
def test_uninterruptible_sleep_is_waiting_and_ordinary_sleep_is_not() -> None:
    tree = ProcessTree()
    with running("import time; time.sleep(600)"):
        time.sleep(0.3)
        asleep = tree.read()
    assert asleep is not None
    assert asleep.n_waiting == 0
    with running(WAIT_LIKE_FOR_A_DISK):
        wait_for(lambda: (sample := tree.read()) is not None and sample.n_waiting == 1)
