"""Calls into code that touches what a stranger sent: each in a confined process of its own.

Decides how such a process is asked, how long it may take, and what its end means; the caller
decides what it may read. An answer is JSON from a process that may have been taken over: it is
bounded here, and its reader checks every field.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from spikefleet.infra.system.confinement import SandboxPolicy
from spikefleet.infra.system.zygote import ANSWER, NOT_CONFINED, OUT_OF_MEMORY

log = logging.getLogger(__name__)

_ZYGOTE = "spikefleet.infra.system.zygote"
_MAX_ANSWER_BYTES = 64 << 20
_WORDS_BYTES = 64 << 10


class OpeningError(RuntimeError):
    """A confined process ended without an answer. ``words`` is the end of what it printed."""

    def __init__(
        self, function: str, what: str = "ended without an answer", words: str = ""
    ) -> None:
        super().__init__(f"{function} {what}")
        self.function, self.words = function, words


class OpeningCrashedError(OpeningError):
    """A signal ended it: a fault in a native library."""

    refusal: ClassVar[str] = "WORKER_DIED"


class OpeningTooLongError(OpeningError):
    """It used up its time. ``used_cpu`` tells endless work from waiting for a disk."""

    def __init__(self, function: str, what: str, words: str = "", *, used_cpu: bool) -> None:
        super().__init__(function, what, words)
        self.used_cpu = used_cpu


class OpeningTooLargeError(OpeningError):
    """It needed more memory than one opening may have."""


class OpeningFailedError(OpeningError):
    """Our own code raised: a defect, whose trace is in ``words``."""


class NotConfinedError(OpeningError):
    """This machine refused to confine the process, so nothing was opened."""


@dataclass(frozen=True)
class Limits:
    """What one call may use: wall time in seconds, processor seconds, memory and scratch bytes."""

    wall_s: float = 120.0
    cpu_s: int = 60
    memory_bytes: int = 4 << 30
    scratch_bytes: int = 1 << 30


@dataclass
class _Call:
    """One call under way: the stream it answers on and where its end is told."""

    function: str
    stream: socket.socket
    status: socket.socket
    scratch: Path
    words: Path

    def close(self) -> None:
        """End the process, if it still runs, and forget it."""
        self.status.close()
        self.stream.close()


class OpeningPool:
    """Confined calls of one kind, at most ``size`` at once; the rest wait in order of their coming.

    Pools may share a ``Zygote``, and ``shared`` slots, of which a call takes one beside its own.
    """

    def __init__(
        self, zygote: Zygote, size: int = 1, shared: asyncio.Semaphore | None = None
    ) -> None:
        self._zygote = zygote
        self._slots = asyncio.Semaphore(size)
        self._shared = shared or asyncio.Semaphore(size)

    async def run(
        self, function: str, arguments: Mapping[str, Any], policy: SandboxPolicy, limits: Limits
    ) -> Any:
        """Return ``module:name(arguments)`` from a confined process, as JSON.

        The process sees ``policy.readable``, ``policy.writable`` and an empty folder of its own.
        It ends with the call, also when the caller is cancelled. Raises OpeningError.
        """
        async with self._slots, self._shared:
            with _scratch(self._zygote.folder) as folder:
                return await self._ask(function, arguments, policy, limits, folder)

    async def _ask(
        self,
        function: str,
        arguments: Mapping[str, Any],
        policy: SandboxPolicy,
        limits: Limits,
        folder: Path,
    ) -> Any:
        scratch, words = folder / "scratch", folder / "words"
        scratch.mkdir()
        policy = replace(
            policy,
            writable=(*policy.writable, str(scratch)),
            memory_bytes=limits.memory_bytes,
            cpu_s=limits.cpu_s,
            file_bytes=limits.scratch_bytes,
        )
        request = {
            "function": function,
            "arguments": arguments,
            "policy": policy.to_json(),
            "scratch": str(scratch),
        }
        call = self._zygote.start(function, scratch, words)
        try:
            async with asyncio.timeout(limits.wall_s):
                answer = await _converse(call.stream, json.dumps(request).encode())
                if not answer:
                    raise await _why(call, answer)
        except TimeoutError as error:
            what = f"had no answer after {limits.wall_s:.0f} s"
            raise OpeningTooLongError(function, what, _tail(words), used_cpu=False) from error
        finally:
            call.close()
        return _read(function, answer, _tail(words))


async def _converse(stream: socket.socket, request: bytes) -> bytes:
    """Send the request, receive until the other side is done; "" when it never answered."""
    loop = asyncio.get_running_loop()
    parts: list[bytes] = []
    with suppress(BrokenPipeError, ConnectionResetError):
        await loop.sock_sendall(stream, request)
        stream.shutdown(socket.SHUT_WR)
        size_bytes = 0
        while size_bytes <= _MAX_ANSWER_BYTES and (part := await loop.sock_recv(stream, 1 << 20)):
            parts.append(part)
            size_bytes += len(part)
    return b"".join(parts)


def _read(function: str, answer: bytes, words: str) -> Any:
    if answer == OUT_OF_MEMORY:
        raise OpeningTooLargeError(function, "needed more memory than one opening may have", words)
    if answer.startswith(NOT_CONFINED):
        said = answer.removeprefix(NOT_CONFINED).decode(errors="replace")
        raise NotConfinedError(function, f"could not be confined: {said}", words)
    try:
        if not answer.startswith(ANSWER) or len(answer) > _MAX_ANSWER_BYTES:
            raise ValueError("not the form of an answer")
        return json.loads(answer.removeprefix(ANSWER))
    except (ValueError, RecursionError) as error:
        raise OpeningCrashedError(function, f"answered nonsense ({error})", words) from error


async def _why(call: _Call, answer: bytes) -> OpeningError:
    """Tell from its exit why a process ended without an answer."""
    told = await asyncio.get_running_loop().sock_recv(call.status, 64)
    words = _tail(call.words)
    try:
        code = int(told)
    except ValueError:  # the zygote itself is gone, and with it every copy
        return OpeningCrashedError(call.function, "lost the process it was forked from", words)
    if code == -signal.SIGXCPU:
        what = "used up its processor time"
        return OpeningTooLongError(call.function, what, words, used_cpu=True)
    if code in (-signal.SIGKILL, -signal.SIGXFSZ):
        what = f"was ended by {signal.Signals(-code).name}: memory or file size"
        return OpeningTooLargeError(call.function, what, words)
    if code < 0:
        return OpeningCrashedError(call.function, f"died of {signal.Signals(-code).name}", words)
    return OpeningFailedError(call.function, "raised", words)


def _tail(words: Path) -> str:
    """The end of what a process printed, where a trace is."""
    try:
        with words.open("rb") as file:
            file.seek(max(0, words.stat().st_size - _WORDS_BYTES))
            return file.read(_WORDS_BYTES).decode(errors="replace").strip()
    except OSError:
        return ""


@contextmanager
def _scratch(below: Path | None) -> Iterator[Path]:
    if below is not None:
        below.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="opening-", dir=below))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Zygote:
    """The warm process that confined ones are forked from; started when first needed.

    ``environment`` is all it and they see of ours; ``folder`` is where their scratch is.
    """

    modules: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _control: socket.socket | None = field(default=None, repr=False)

    def warm(self) -> None:
        """Start it, so that the first call need not wait for its imports."""
        with self._lock:
            self._running()

    def start(self, function: str, scratch: Path, words: Path) -> _Call:
        """Fork a process for one call. Raises OpeningCrashedError when it cannot be forked."""
        stream, its_stream = socket.socketpair()
        status, its_status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its_stream, its_status, words.open("wb") as out:
            given = [its_stream.fileno(), its_status.fileno(), out.fileno()]
            try:
                self._hand_over(given)
            except OSError as error:
                stream.close()
                status.close()
                raise OpeningCrashedError(function, f"could not be forked: {error}") from error
        stream.setblocking(False)
        status.setblocking(False)
        return _Call(function, stream, status, scratch, words)

    def close(self) -> None:
        """End it at once, and with it every process forked from it (they die with it)."""
        with self._lock:
            process, control = self._process, self._control
            self._process = self._control = None
        if control is not None:
            control.close()
        if process is not None:
            process.kill()
            process.wait()

    def _hand_over(self, descriptors: list[int]) -> None:
        with self._lock:
            try:
                socket.send_fds(self._running(), [b"fork"], descriptors)
            except (BrokenPipeError, ConnectionResetError):  # it died since; one new one is tried
                self._forget()
                socket.send_fds(self._running(), [b"fork"], descriptors)

    def _running(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            log.warning("zygote.ended", extra={"exit_code": self._process.returncode})
            self._forget()
        if self._control is None:
            control, its_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with its_control:
                number = its_control.fileno()
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", _ZYGOTE, str(number), *self.modules],
                    pass_fds=(number,),
                    stdin=subprocess.DEVNULL,
                    env=dict(self.environment),
                    start_new_session=True,
                )
            self._control = control
        return self._control

    def _forget(self) -> None:
        if self._control is not None:
            self._control.close()
        self._process = self._control = None
