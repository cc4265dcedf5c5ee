"""A warm process that attempts without a GPU are forked from, so that their child need not import.

``python -m spikefleet.deploy.template IDLE_S SORTER FD`` imports what a sort needs, which takes
seconds, and forks for each attempt, which takes milliseconds. The copy makes one copy more and then
executes the attempt's own command: so the runner's parent is a fresh, light interpreter as ever,
and already has a warm process as its child. That one waits to be told which attempt it is
(``runner.warm_child``), compares what it has imported with what is wanted, and then is the runner's
child like any other. Neither template nor copies open a recording before that, or hold a secret.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import resource
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spikefleet.deploy.settings import WARM_CHILD, become, own_environment
from spikefleet.infra.launchers.processes import MARK
from spikefleet.infra.launchers.warm import NO_THREADS_OF_LIBRARIES, READY, REQUEST_FDS
from spikefleet.runner import child, steps
from spikefleet.runner.child import PR_SET_PDEATHSIG
from spikefleet.runner.warm_child import AGREED, ORDER_BYTES
from spikefleet.signal.filtering.numba_kernels import compile_now
from spikefleet.signal.sorters.base import load_backend

_PLACE = 3  # the descriptor on which parent and waiting child talk
_REQUEST_BYTES = 16
_LIBRARIES = ("spikefleet", "spikeinterface", "numpy", "scipy", "numba")
# What is read when it is needed, or put right by ``steps.settle``; all else must be the same.
_READ_LATE = frozenset(
    {
        "HOME",
        "TMPDIR",
        "XDG_CACHE_HOME",
        "MPLCONFIGDIR",
        "NUMBA_CACHE_DIR",
        MARK,
        WARM_CHILD,
        *NO_THREADS_OF_LIBRARIES,
    }
)
_COERCED = "LC_CTYPE"  # which Python itself sets where there is no locale
_ENV_START, _ENV_END = 47, 48  # fields of /proc/self/stat after the command's name


class Template:
    """The warm process: what it imported under which environment, and the copies it made."""

    def __init__(self, control: socket.socket, idle_s: float) -> None:
        self._control, self._idle_s = control, idle_s
        self._selector = selectors.DefaultSelector()
        self._copies: dict[int, tuple[int, socket.socket]] = {}
        self.facts = _facts()

    def serve(self) -> int:
        """Fork for each request and tell how each copy ended, until idle or the service is gone."""
        self._selector.register(self._control, selectors.EVENT_READ)
        while True:
            events = self._selector.select(self._idle_s)
            if not events and not self._copies:
                return 0
            for key, _ in events:
                if key.fileobj is not self._control:
                    self._tell_end(key.data)
                    continue
                _, descriptors, _, _ = socket.recv_fds(self._control, _REQUEST_BYTES, REQUEST_FDS)
                if len(descriptors) < REQUEST_FDS:
                    return 0  # the attempts continue without us
                code = self._fork(*descriptors)
                if code is not None:
                    return code

    def _tell_end(self, pid: int) -> None:
        ended, status = self._copies.pop(pid)
        _, code = os.waitpid(pid, 0)
        self._selector.unregister(ended)
        os.close(ended)
        with suppress(OSError):  # nobody may wait for it any more
            status.send(str(os.waitstatus_to_exitcode(code)).encode())
        status.close()

    def _fork(self, stream: int, status: int, stdin: int, log: int) -> int | None:
        """Make a copy that becomes the attempt's parent. Returns in it only as its warm child."""
        pid = os.fork()
        if pid == 0:
            self._let_go()
            return _become_parent(self.facts, stream, stdin, log)
        for descriptor in (stream, stdin, log):
            os.close(descriptor)
        told = socket.socket(fileno=status)
        ended = os.pidfd_open(pid)
        self._copies[pid] = (ended, told)
        self._selector.register(ended, selectors.EVENT_READ, pid)
        with suppress(OSError):
            told.send(str(pid).encode())
        return None

    def _let_go(self) -> None:
        """Close in a copy what is the template's alone."""
        self._selector.close()
        self._control.close()
        for ended, status in self._copies.values():
            os.close(ended)
            status.close()


def main(idle_s: float, backend: str, descriptor: int) -> int:
    """Import, make sure that this is the only thread, and serve. Returns the exit code."""
    control = socket.socket(fileno=descriptor)
    load_backend(backend)
    compile_now()
    throwaway = os.fork()  # numerical libraries end their idle threads before a fork
    if throwaway == 0:
        _leave(0)
    os.waitpid(throwaway, 0)
    if (threads := _n_threads()) > 1:
        control.send(f"it has {threads} threads".encode())
        return 1
    # A collection in a copy would touch, and so really copy, all that was imported.
    gc.collect()
    gc.freeze()
    control.send(READY)
    return Template(control, idle_s).serve()


def _become_parent(facts: Mapping[str, Any], stream: int, stdin: int, log: int) -> int:
    """Leave a warm child behind and execute the attempt's command. Returns in the child only."""
    parent_pid = os.getpid()
    try:
        os.setsid()
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            mine.close()
            os.dup2(log, 1)  # it must not keep the service's output open
            os.dup2(log, 2)
            return _wait(facts, its.detach(), parent_pid)
        with open(stream, "rb") as incoming:
            words = incoming.read()
        if not words:  # the launcher has given up on us and starts the attempt itself
            _leave(0)
        request = json.loads(words)
        os.dup2(stdin, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.dup2(mine.fileno(), _PLACE)
        os.set_inheritable(_PLACE, True)
        os.closerange(_PLACE + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        os.chdir(request["cwd"])
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
            signal.signal(number, signal.SIG_DFL)
        environment = {**request["environment"], WARM_CHILD: f"{_PLACE}:{pid}"}
        os.execve(request["command"][0], request["command"], environment)
    finally:
        if os.getpid() == parent_pid:
            traceback.print_exc()
            sys.stderr.flush()
            _leave(1)


def _wait(facts: Mapping[str, Any], place: int, parent_pid: int) -> int:
    """Wait as the attempt's child until told what to do; then do it and return its exit code."""
    os.setsid()
    os.dup2(place, _PLACE)
    os.closerange(_PLACE + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        _leave(0)
    with socket.socket(fileno=_PLACE) as parent:
        words, descriptors, _, _ = socket.recv_fds(parent, ORDER_BYTES, 1)
        if not words or len(descriptors) != 1:
            _leave(0)
        order = json.loads(words)
        refusal = _why_not(facts, order["environment"])
        parent.send(refusal.encode() or AGREED)
        if refusal:
            _leave(0)
    os.dup2(descriptors[0], 1)
    os.dup2(descriptors[0], 2)
    os.close(descriptors[0])
    os.chdir(order["cwd"])
    become({**facts["added"], **order["environment"]})
    _show_mark(order["environment"].get(MARK, ""))
    # What else is started by name (workers of a pool) must find the child's module, not this one.
    sys.modules["__main__"].__spec__ = child.__spec__
    sys.argv = [str(child.__file__), order["root"]]
    steps.settle(order["environment"].get("NUMBA_CACHE_DIR", ""))
    return child.main(Path(order["root"]))


def _facts() -> dict[str, Any]:
    """What the imports were made of: the environment as it was then, and the libraries.

    ``added`` are the variables that the imports set: a cold start would set them too.
    """
    block = Path("/proc/self/environ").read_bytes().split(b"\0")
    given = {os.fsdecode(entry).partition("=")[0] for entry in block} | {_COERCED}
    now = {k: v for k, v in own_environment().items() if k not in _READ_LATE}
    return {
        "environment": {k: v for k, v in now.items() if k in given},
        "added": {k: v for k, v in now.items() if k not in given},
        "versions": {name: version(name) for name in _LIBRARIES},
    }


def _why_not(facts: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """Why this process is not what a cold start would be; "" when it is."""
    if _n_threads() > 1:
        return "it has more than one thread"
    wanted = {key: value for key, value in environment.items() if key not in _READ_LATE}
    known = facts["environment"]
    if differing := sorted(k for k in {*wanted, *known} if wanted.get(k) != known.get(k)):
        return f"other values of {', '.join(differing)}"
    importlib.invalidate_caches()
    newer = [name for name, was in facts["versions"].items() if version(name) != was]
    return f"other versions of {', '.join(newer)}" if newer else ""


def _show_mark(value: str) -> None:
    """Write the attempt's mark where /proc shows this process's environment.

    The kernel shows the memory in which the template got its own; a slot is kept there for it.
    """
    stat = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace")
    fields = stat.rpartition(")")[2].split()
    start, end = int(fields[_ENV_START]), int(fields[_ENV_END])
    block = ctypes.string_at(start, end - start)
    name = f"\0{MARK}=".encode()
    at = (b"\0" + block).find(name)
    if at < 0:
        return
    at += len(name) - 1
    room = block.find(b"\0", at) - at
    text = value.encode()
    if len(text) <= room:
        ctypes.memmove(start + at, text.ljust(room, b"\0"), room)


def _n_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _leave(code: int) -> None:
    """End a copy without its original's clean-up; nothing is lost that anybody waits for."""
    os._exit(code)  # noqa: TID251


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
