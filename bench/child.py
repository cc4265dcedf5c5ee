"""A measured service in a process of its own: ``python -m MODULE serve FOLDER``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


@contextmanager
def serving_child(module: str, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Yield the address that the child prints as its first line, and its process; then end it."""
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", module, "serve", str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        try:
            address = child.stdout.readline().strip()
            assert address, "the measured service did not start"
            yield address, psutil.Process(child.pid)
        finally:
            child.terminate()


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a process so far."""
    times = process.cpu_times()
    return float(times.user + times.system)
