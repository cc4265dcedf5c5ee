"""Processes as the kernel tells them: real children, real CPU time, real waiting."""

import sys

import pytest
from tests.support.attempts import wait_for
from tests.support.families import family

from spikefleet.infra.system.process_tree import ProcessTree

SLEEP = "import time; time.sleep(600)"
# A process between clone(CLONE_VFORK) and its child's end is in real uninterruptible sleep.
WAIT_LIKE_FOR_A_DISK = """
import ctypes, platform, signal, sys, time
clone = {"x86_64": 56, "aarch64": 220}[platform.machine()]
if ctypes.CDLL(None).syscall(clone, 0x4000 | signal.SIGCHLD, 0, 0, 0, 0) == 0:
    time.sleep(600)
"""


def test_without_children_there_is_nothing_to_read() -> None:
    with family("") as childless:
        assert ProcessTree(childless).read() is None
    assert ProcessTree(1 << 30).read() is None


def test_cpu_time_and_bytes_add_up_and_never_shrink() -> None:
    once = "open('/dev/null', 'w').write('x' * 100000); t = __import__('time').process_time\n"
    worker = once + "while t() < 0.4: pass"
    with family(worker, "import time; time.sleep(600)") as root:
        tree = ProcessTree(root)
        wait_for(lambda: (sample := tree.read()) is not None and sample.cpu_s > 0.3)
        before = tree.read()
        wait_for(lambda: (sample := tree.read()) is not None and sample.n_processes == 1)
        after = tree.read()
    assert before is not None
    assert after is not None
    assert before.moved_bytes
    assert after.cpu_s >= before.cpu_s, "what the ended one used is not forgotten"
    assert (after.moved_bytes or 0) >= before.moved_bytes


def test_grandchildren_can_be_left_out() -> None:
    nested = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]).wait()"
    with family(nested) as root:
        everyone = ProcessTree(root)
        nearest = ProcessTree(root, include_descendants=False)
        wait_for(lambda: (sample := everyone.read()) is not None and sample.n_processes == 2)
        sample = nearest.read()
    assert sample is not None
    assert sample.n_processes == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of waiting threads")
def test_uninterruptible_sleep_is_waiting_and_ordinary_sleep_is_not() -> None:
    with family(SLEEP) as root:
        tree = ProcessTree(root)
        wait_for(lambda: (sample := tree.read()) is not None and sample.n_processes > 0)
        sample = tree.read()
        assert sample is not None
        assert sample.n_waiting == 0
    with family(WAIT_LIKE_FOR_A_DISK) as root:
        tree = ProcessTree(root)
        wait_for(lambda: (sample := tree.read()) is not None and sample.n_waiting > 0)
        sample = tree.read()
    assert sample is not None
    assert sample.n_waiting == 1
