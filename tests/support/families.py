"""Real processes below one of their own, whatever else the test's process has started."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PARENT = """
import subprocess, sys, time
children = [subprocess.Popen([sys.executable, "-c", code]) for code in sys.argv[1:] if code]
while True:
    for child in children:
        child.poll()
    time.sleep(0.05)
"""


@contextmanager
def family(*codes: str) -> Iterator[int]:
    """Run each piece of Python as a child of one parent; give the parent's pid."""
    command = [sys.executable, "-c", _PARENT, *codes]
    parent = subprocess.Popen(command, start_new_session=True)
    try:
        yield parent.pid
    finally:
        os.killpg(parent.pid, signal.SIGKILL)
        parent.wait()
