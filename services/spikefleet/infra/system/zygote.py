"""A warm process that does nothing but make confined copies of itself, one for each opening.

``python -m spikefleet.infra.system.zygote FD MODULE...`` imports the modules (and calls what is
written ``MODULE:FUNCTION``), which takes seconds, and then forks for each request, which takes
milliseconds. A copy closes what is not its own,
confines itself, calls one function and answers in JSON; nothing is ever pickled. The zygote itself
opens no recording, holds no credential and reads no answer.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import logging
import os
import resource
import selectors
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from spikefleet.infra.system.confinement import SandboxPolicy, confine
from spikefleet.infra.system.syscalls import is_available

log = logging.getLogger(__name__)

ANSWER = b"answer "
OUT_OF_MEMORY = b"out of memory"
NOT_CONFINED = b"not confined "
_HEADER_BYTES = 4096
_PR_SET_PDEATHSIG = 1
_STDERR = 2


@dataclass(frozen=True)
class _Copy:
    """A forked copy at work: ``status`` is where its end is told, closed from there to end it."""

    pid: int
    status: socket.socket
    ended: int


def main(descriptor: int, modules: list[str]) -> int:
    """Import ``modules`` and serve requests from the socket ``descriptor`` until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service to answer
    _die_with_parent()
    control = socket.socket(fileno=descriptor)
    for name in modules:
        module, _, function = name.partition(":")
        imported = importlib.import_module(module)
        if function:
            getattr(imported, function)()
    if not is_available():  # looked for here, once: finding the library runs programs
        log.warning("zygote.no_seccomp")
    # A collection in a copy would touch, and so really copy, all that was imported.
    gc.collect()
    gc.freeze()
    _serve(control)
    return 0


def _serve(control: socket.socket) -> None:
    """Fork for each request and tell how each copy ended. Returns when the service is gone."""
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    copies: dict[int, _Copy] = {}
    while True:
        for key, _ in selector.select():
            if key.fileobj is control:
                _, descriptors, _, _ = socket.recv_fds(control, _HEADER_BYTES, 3)
                if not descriptors:
                    _end_all(copies)
                    return
                copy = _fork(control, descriptors)
                copies[copy.pid] = copy
                selector.register(copy.ended, selectors.EVENT_READ, copy.pid)
                selector.register(copy.status, selectors.EVENT_READ, copy.pid)
                continue
            gone = copies.get(key.data)
            if gone is None:
                continue
            if key.fileobj is gone.status:  # the service closed it: nobody waits any more
                os.kill(gone.pid, signal.SIGKILL)  # not reaped yet, so the pid is still its own
                selector.unregister(gone.status)
                continue
            _tell_end(selector, gone)
            del copies[gone.pid]


def _tell_end(selector: selectors.BaseSelector, copy: _Copy) -> None:
    _, status = os.waitpid(copy.pid, 0)
    selector.unregister(copy.ended)
    if copy.status in selector.get_map():
        selector.unregister(copy.status)
    os.close(copy.ended)
    with suppress(OSError):  # nobody may wait for it any more
        copy.status.send(str(os.waitstatus_to_exitcode(status)).encode())
    copy.status.close()


def _end_all(copies: Mapping[int, _Copy]) -> None:
    for copy in copies.values():
        os.kill(copy.pid, signal.SIGKILL)
        os.waitpid(copy.pid, 0)


def _fork(control: socket.socket, descriptors: list[int]) -> _Copy:
    """Make a copy that serves one request and never returns from here."""
    stream, status, words = descriptors
    zygote_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            control.close()
            code = _answer(stream, words, zygote_pid)
        finally:
            if sys.exc_info()[0] is not None:
                traceback.print_exc()
            sys.stderr.flush()
            # A copy must not run its original's clean-up; its answer has been sent by now.
            os._exit(code)  # noqa: TID251
    os.close(stream)
    os.close(words)
    return _Copy(pid, socket.socket(fileno=status), os.pidfd_open(pid))


def _answer(stream: int, words: int, zygote_pid: int) -> int:
    """Read the request, confine this process, call the function, send what it returns."""
    os.setsid()
    _die_with_parent(zygote_pid)
    os.dup2(words, 1)
    os.dup2(words, _STDERR)
    os.dup2(stream, 3)
    os.closerange(4, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    with socket.socket(fileno=3) as service:
        with service.makefile("rb") as incoming:
            request = json.loads(incoming.read())
        try:
            _enter(SandboxPolicy.from_json(request["policy"]), str(request["scratch"]))
        except OSError as error:
            service.sendall(NOT_CONFINED + str(error).encode())
            return 1
        try:
            answer = _find(request["function"])(request["arguments"])
            service.sendall(ANSWER + json.dumps(answer).encode())
        except MemoryError:
            service.sendall(OUT_OF_MEMORY)
            return 1
    return 0


def _enter(policy: SandboxPolicy, scratch: str) -> None:
    os.chdir(scratch)
    tempfile.tempdir = scratch
    confine(policy)


def _find(name: str) -> Callable[[Mapping[str, Any]], Any]:
    """The function ``package.module:name``, whose module the zygote has imported."""
    module, _, function = name.partition(":")
    found: Callable[[Mapping[str, Any]], Any] = getattr(importlib.import_module(module), function)
    return found


def _die_with_parent(parent_pid: int | None = None) -> None:
    """The kernel kills this process when the one that started it is gone."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent_pid is not None and os.getppid() != parent_pid:
        raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
