"""Attempts forked from a warm template (``deploy.template``), where one is ready.

The launcher starts an attempt cold whenever there is none, or anything is wrong with it. Not
thread-safe: its owner holds a lock.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from spikefleet.infra.launchers.processes import MARK
from spikefleet.infra.system.memory_reader import MemoryReader
from spikefleet.infra.system.open_files import is_readable

_log = logging.getLogger(__name__)

READY = b"ready"
# Arrow, which data frames load, would start a thread by itself: a process that has one cannot be
# forked from. Read when Arrow is loaded, and never again.
NO_THREADS_OF_LIBRARIES = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
REQUEST_FDS = 4
_WORD_BYTES = 4096
_MARK_BYTES = 1024
_PATIENCE_S = 5.0
_LEAST_FREE_BYTES = 2 << 30
_MOST = 2


def template_command(idle_s: float, backend: str) -> list[str]:
    """The command line of a sorter's template that ends after ``idle_s`` without an attempt."""
    return [sys.executable, "-P", "-m", "spikefleet.deploy.template", str(idle_s), backend]


@dataclass(frozen=True)
class Start:
    """One attempt's process to be: as for ``subprocess.Popen``. ``log`` is an open descriptor."""

    command: Sequence[str]
    environment: Mapping[str, str]
    cwd: Path
    log: int


class ForkedAttempt:
    """An attempt's process that the template started; used like a ``subprocess.Popen``.

    ``is_lost``: it has ended, and nobody can say how, since the template ended before it.
    """

    def __init__(self, pid: int, status: socket.socket, stdin: int) -> None:
        self.pid, self._status = pid, status
        self.stdin = os.fdopen(stdin, "wb")
        self.returncode: int | None = None
        self.is_lost = False
        try:
            self._ended: int | None = os.pidfd_open(pid)
        except OSError:  # it has ended, or this process has too many files open
            self._ended = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs, or when it is lost."""
        if self.returncode is None and not self.is_lost and self._has_ended(0.0):
            self._collect()
        return self.returncode

    def wait(self, timeout: float) -> int | None:
        """Wait for the end. Raises subprocess.TimeoutExpired after ``timeout`` seconds."""
        if not self._has_ended(timeout):
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return self.poll()

    def _has_ended(self, timeout_s: float) -> bool:
        return self._ended is None or is_readable(self._ended, timeout_s)

    def _collect(self) -> None:
        self._status.settimeout(_PATIENCE_S)
        try:
            self.returncode = int(self._status.recv(_WORD_BYTES))
        except (OSError, ValueError):
            self.is_lost = True
        self._status.close()
        if self._ended is not None:
            os.close(self._ended)
            self._ended = None


class WarmStarts:
    """The templates of one service, one for each sorter that is used again and again.

    The second attempt of a sorter within ``idle_s`` starts one, which ends when it was idle for as
    long. ``environment`` is what imports see, with the variables that each attempt gets on top: no
    more than a sorter may know. ``command`` makes a template's command line but for a descriptor.
    """

    def __init__(
        self,
        idle_s: float,
        environment: Mapping[str, str],
        command: Callable[[float, str], Sequence[str]] = template_command,
    ) -> None:
        self._idle_s, self._environment, self._command = idle_s, dict(environment), command
        self._templates: dict[str, _Template] = {}
        self._asked_s: dict[str, float] = {}
        self._useless: set[str] = set()
        self._memory = MemoryReader()

    def prepare(self, backend: str, extra: Mapping[str, str]) -> None:
        """Note a cold start with the variables ``extra``; start a template if it is not the first.

        Returns at once. There are two at most, and none where memory is short.
        """
        now_s = time.monotonic()
        last_s, self._asked_s[backend] = self._asked_s.get(backend), now_s
        if last_s is None or now_s - last_s > self._idle_s or backend in self._useless:
            return
        self._forget_ended()
        if backend in self._templates or len(self._templates) >= _MOST or not self._has_room():
            return
        command = self._command(self._idle_s, backend)
        try:
            self._templates[backend] = _Template(command, self._environment, extra)
        except OSError as error:
            _log.warning("template.not_started", extra={"error": str(error)})

    def is_ready(self, backend: str) -> bool:
        """Whether the sorter's next attempt can be started warm."""
        self._forget_ended()
        template = self._templates.get(backend)
        return template is not None and template.is_ready()

    def pid(self, backend: str) -> int:
        """The template's process; 0 where there is none."""
        template = self._templates.get(backend)
        return template.process.pid if template is not None else 0

    def start(self, backend: str, start: Start) -> ForkedAttempt | None:
        """Start an attempt from the template; None: start it cold, nothing has been started."""
        if not self.is_ready(backend):
            return None
        template = self._templates[backend]
        if not template.is_for(start.environment):
            return None
        try:
            return template.fork(start)
        except (OSError, ValueError) as error:
            _log.warning("template.failed", extra={"error": str(error), "sorter": backend})
            self._templates.pop(backend).close()
            return None

    def close(self) -> None:
        """End the templates; the attempts they started continue."""
        for template in self._templates.values():
            template.close()
        self._templates.clear()

    def _has_room(self) -> bool:
        sample = self._memory.read()
        return sample is None or sample.limit_bytes - sample.held_bytes >= _LEAST_FREE_BYTES

    def _forget_ended(self) -> None:
        for backend, template in list(self._templates.items()):
            if template.process.poll() is None:
                continue
            if not template.is_ready():
                _log.warning(
                    "template.refused", extra={"sorter": backend, "reason": template.words}
                )
                self._useless.add(backend)
            self._templates.pop(backend).close()


class _Template:
    """One template's process and the socket to it. Raises OSError when it cannot be started."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], extra: Mapping[str, str]
    ) -> None:
        self._extra = dict(extra)
        self.words = ""
        own = {**environment, **extra, **NO_THREADS_OF_LIBRARIES}
        own.pop(MARK, None)
        own[MARK] = "-" * _MARK_BYTES  # last: a copy writes its own into this room
        self._control, its_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its_control:
            number = its_control.fileno()
            self.process = subprocess.Popen(
                [*command, str(number)],
                pass_fds=(number,),
                stdin=subprocess.DEVNULL,
                env=own,
                start_new_session=True,
            )

    def is_ready(self) -> bool:
        """Whether it has imported everything."""
        if not self.words:
            self._control.setblocking(False)
            with suppress(BlockingIOError, ConnectionError):
                self.words = self._control.recv(_WORD_BYTES).decode(errors="replace")
        return self.words == READY.decode()

    def is_for(self, environment: Mapping[str, str]) -> bool:
        """Whether an attempt with this environment has the variables that it was started with."""
        return {name: environment.get(name) for name in self._extra} == self._extra

    def fork(self, start: Start) -> ForkedAttempt:
        """Start an attempt. Raises OSError or ValueError: nothing has been started then."""
        stream, its_stream = socket.socketpair()
        status, its_status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        its_stdin, stdin = os.pipe()
        attempt: ForkedAttempt | None = None
        try:
            given = [its_stream.fileno(), its_status.fileno(), its_stdin, start.log]
            self._control.settimeout(_PATIENCE_S)
            socket.send_fds(self._control, [b"fork"], given)
            its_status.close()
            status.settimeout(_PATIENCE_S)
            attempt = ForkedAttempt(int(status.recv(_WORD_BYTES)), status, stdin)
            # Only now may it run: without this request it ends, and a cold start is the only one.
            request = {
                "command": list(start.command),
                "environment": dict(start.environment),
                "cwd": str(start.cwd),
            }
            stream.sendall(json.dumps(request).encode())
        except (OSError, ValueError):
            status.close()
            if attempt is None:
                os.close(stdin)
            else:
                attempt.stdin.close()
            raise
        finally:
            os.close(its_stdin)
            for end in (stream, its_stream, its_status):
                end.close()
        return attempt

    def close(self) -> None:
        """End it; what it started continues."""
        self._control.close()
        self.process.kill()
        self.process.wait()
