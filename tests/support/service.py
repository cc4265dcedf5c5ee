"""A real service as a child process, for tests that kill it, stop it and start it again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import RunView
from spikefleet.deploy.service_process import start_service, stop_service, wait_until_ready

T = TypeVar("T")


class Service:
    """One data folder and the service on it; may be killed and started again."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        self.data_dir = data_dir
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ""
        self.metrics_port = 0

    def start(self) -> Service:
        """Start and wait until it answers."""
        self._process = start_service(self.data_dir, self._arguments)
        found = wait_until_ready(self._process, self.data_dir)
        self.address, self.metrics_port = found.address, found.metrics_port
        return self

    def client(self) -> SortingClient:
        """A client of this service."""
        return SortingClient(self.address)

    def kill(self) -> None:
        """SIGKILL the service itself, and nothing else."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM; return the exit code."""
        assert self._process is not None
        return stop_service(self._process)

    def close(self) -> None:
        """End the service and every process that works in its folder."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for process in self.processes():
            process.kill()

    def processes(self) -> list[psutil.Process]:
        """Every live process whose command line names this data folder, the service apart."""
        own = self._process.pid if self._process else -1
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            line = " ".join(process.info["cmdline"] or [])
            if str(self.data_dir) in line and process.pid != own:
                found.append(process)
        return [p for p in found if p.info["status"] != psutil.STATUS_ZOMBIE]

    def process_of(self, module: str) -> psutil.Process | None:
        """The live attempt process that runs ``module`` (deploy.attempt or runner.child)."""
        for process in self.processes():
            if any(part.endswith(module) for part in process.info["cmdline"]):
                return process
        return None

    def wait_for_process(self, module: str, timeout_s: float = 60.0) -> psutil.Process:
        """Wait until an attempt process runs ``module``; return it."""
        return wait_for(lambda: self.process_of(module), timeout_s, f"a {module} process")


def wait_for(look: Callable[[], T | None], timeout_s: float, what: str) -> T:
    """Poll until ``look`` returns something true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {timeout_s:g} s in vain for {what}")


def wait_for_step(
    client: SortingClient, run_id: str, step: str, timeout_s: float = 90.0
) -> RunView:
    """Wait until the running attempt says it is at ``step``."""

    def look() -> RunView | None:
        run = client.get(run_id)
        assert not run.is_terminal, f"the run ended {run.state} before it reached {step}"
        return run if step in str(run.progress.get("step", "")) else None

    return wait_for(look, timeout_s, f"step {step} of {run_id}")


def suspend(process: psutil.Process) -> None:
    """SIGSTOP."""
    os.kill(process.pid, signal.SIGSTOP)
