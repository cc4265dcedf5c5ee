"""The warm process that the launcher's template left us, asked to be the runner's child.

It is asked once, and any trouble with it means a cold start: it is ended then, and the reason is
logged.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from spikefleet.infra.system.open_files import is_readable

_log = logging.getLogger(__name__)

AGREED = b"agreed"
ORDER_BYTES = 256 << 10
_ANSWER_BYTES = 4096
_PATIENCE_S = 5.0


class ChildProcess(Protocol):
    """What the supervisor does with a child, however it was started; as in ``subprocess.Popen``."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises subprocess.TimeoutExpired after ``timeout`` seconds."""
        ...


class AdoptedChild:
    """A child of this process that somebody else forked. Raises ChildProcessError if it is none."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = os.pidfd_open(pid)
        try:
            self.poll()
        except ChildProcessError:
            os.close(self._ended)
            raise

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
                os.close(self._ended)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises subprocess.TimeoutExpired after ``timeout`` seconds."""
        if self.poll() is None:
            is_readable(self._ended, timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code


class WarmChild:
    """The waiting process. ``place`` is "DESCRIPTOR:PID", as the template says; "": there is none.

    The process ends when it is closed, or when this one dies.
    """

    def __init__(self, place: str = "") -> None:
        self._socket: socket.socket | None = None
        self._process: AdoptedChild | None = None
        descriptor, _, pid = place.partition(":")
        if not (descriptor.isdigit() and pid.isdigit()):
            return
        try:
            self._socket = socket.socket(fileno=int(descriptor))
            self._socket.set_inheritable(False)
            self._process = AdoptedChild(int(pid))
        except OSError as error:
            _log.warning("child.not_warm", extra={"reason": str(error)})

    def start(
        self, root: Path, environment: Mapping[str, str] | None, cwd: Path, log: int
    ) -> ChildProcess | None:
        """Let it run the attempt in ``root`` with ``log`` for its words; None: start one cold.

        ``environment`` is all it gets to see of ours; None (everything) cannot be had warm.
        """
        process, parent = self._process, self._socket
        if process is None or parent is None or environment is None:
            return None
        order = {"root": str(root), "environment": dict(environment), "cwd": str(cwd)}
        try:
            parent.settimeout(_PATIENCE_S)
            socket.send_fds(parent, [json.dumps(order).encode()], [log])
            answer = parent.recv(_ANSWER_BYTES)
        except OSError as error:
            answer = str(error).encode()
        if answer != AGREED:
            reason = answer.decode(errors="replace") or "it ended"
            _log.warning("child.not_warm", extra={"reason": reason})
            self.close()
            return None
        parent.close()
        self._process = self._socket = None
        _log.info("child.warm", extra={"pid": process.pid})
        return process

    def close(self) -> None:
        """End the process if it still waits."""
        process, parent = self._process, self._socket
        self._process = self._socket = None
        if parent is not None:
            parent.close()
        if process is not None:
            with suppress(ProcessLookupError):
                if process.poll() is None:
                    os.kill(process.pid, signal.SIGKILL)
                    process.wait(_PATIENCE_S)
