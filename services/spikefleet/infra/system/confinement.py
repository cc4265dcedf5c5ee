"""Confining this process before it touches what a stranger sent.

Decides what a reader or a sorter keeps: the programs and libraries it runs on, its recording to
read, its own scratch to write; no network, no other process's memory or signals, bounded memory,
processor time and file sizes. Layers that a kernel lacks are named in the answer, never silent.
What was taken is never given back.
"""

from __future__ import annotations

import glob
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spikefleet.infra.system.capabilities import drop_capabilities
from spikefleet.infra.system.landlock import (
    SCOPES_SINCE,
    Allowed,
    forbid_new_privileges,
    landlock_version,
    restrict_paths,
)
from spikefleet.infra.system.namespaces import enter_namespaces
from spikefleet.infra.system.syscalls import NoSeccompError, is_available, refuse_calls

_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt", "/etc/alternatives")
_SYSTEM_FILES = (
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/timezone",
    "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/fonts", "/etc/mime.types",
    "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version",
    "/proc/filesystems", "/proc/sys/vm/overcommit_memory", "/sys/devices/system", "/sys/fs/cgroup",
    "/dev/zero", "/dev/random", "/dev/urandom",
)  # fmt: skip
_NULL = ("/dev/null",)
# A sorter starts processes (their own /proc, shared memory) and computes on GPUs.
_SORTER_READS = ("/proc", "/sys")
_SORTER_DEVICES = ("/dev/shm", "/dev/nvidia*", "/dev/dri", "/dev/kfd")
_SORTER_WRITES = ("/dev/shm",)
_OPEN_FILES = 4096
# Threads and processes beyond those that run now: many for pools of any size, few for a machine.
_READER_TASKS, _SORTER_TASKS = 1024, 16_384


@dataclass(frozen=True)
class SandboxPolicy:
    """What one process may do. Paths are absolute; a folder stands for everything below it.

    ``memory_bytes`` is what it may allocate beyond what it holds when it is confined, ``cpu_s``
    its processor time in seconds, ``file_bytes`` its largest file; 0 bounds nothing.
    ``programs`` lets it start processes and use GPUs: a sorter does, a reader never. How many
    threads and processes it may have is bounded for both.
    """

    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    memory_bytes: int = 0
    cpu_s: int = 0
    file_bytes: int = 0
    programs: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> SandboxPolicy:
        """Read what ``to_json`` wrote."""
        values = dict(document)
        values["readable"] = tuple(values.get("readable", ()))
        values["writable"] = tuple(values.get("writable", ()))
        return cls(**values)


@dataclass(frozen=True)
class Confinement:
    """What holds a process: ``paths`` by "landlock N", "namespaces" or "", and whether its system
    calls are filtered. ``missing`` says in words what this machine could not do.
    """

    paths: str = ""
    calls: bool = False
    missing: tuple[str, ...] = field(default_factory=tuple)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {"paths": self.paths, "calls": self.calls, "missing": list(self.missing)}


@dataclass(frozen=True)
class Layers:
    """Which layers to use where the kernel has them; tests switch some off to reach the others."""

    landlock: bool = True
    namespaces: bool = True
    seccomp: bool = True


def confine(policy: SandboxPolicy, layers: Layers | None = None) -> Confinement:
    """Confine this process for good; return what holds. Call it from the only thread.

    Raises OSError when a layer that is there refuses to work: then nothing may be opened.
    """
    layers = layers or Layers()
    allowed, n_tasks = allowed_paths(policy), _tasks()
    missing: list[str] = []
    paths, keeps_signals = "", not policy.programs
    if layers.landlock and landlock_version() > 0:
        drop_capabilities()
        version = restrict_paths(allowed)
        paths, keeps_signals = f"landlock {version}", keeps_signals or version >= SCOPES_SINCE
    elif layers.namespaces:
        paths = _try(lambda: enter_namespaces(allowed), "namespaces", missing)
        drop_capabilities()
    if not keeps_signals:
        missing.append("it may send signals to other processes of its user: Landlock 6 is needed")
    if not paths:
        missing.append("nothing restricts which files it reads: no Landlock, no user namespaces")
    forbid_new_privileges()
    _limit(policy, n_tasks)
    calls = bool(layers.seccomp)
    if calls:
        try:
            refuse_calls(programs=policy.programs)
        except NoSeccompError as error:
            calls = False
            missing.append(str(error))
    else:
        missing.append("system calls are not filtered")
    return Confinement(paths, calls, tuple(missing))


def missing_layers() -> tuple[str, ...]:
    """Say in words what this machine cannot keep from a reader; () when it can all of it.

    Looks without confining anybody; whether user namespaces work shows when one is entered.
    """
    found: list[str] = []
    if landlock_version() == 0:
        found.append(
            "this kernel has no Landlock (5.13 and newer have, unless it is switched off): user "
            "namespaces are tried instead"
        )
    if not is_available():
        found.append("system calls are not filtered: install libseccomp2 and pyseccomp")
    return tuple(found)


def allowed_paths(policy: SandboxPolicy) -> Allowed:
    """Return every path a process keeps under ``policy``: the policy's own and the system's."""
    return Allowed(
        readable=(*_SYSTEM_FILES, *policy.readable, *(_SORTER_READS if policy.programs else ())),
        executable=(*_SYSTEM, *_python_paths()),
        writable=(*policy.writable, *(_SORTER_WRITES if policy.programs else ())),
        devices=(*_NULL, *(_found(_SORTER_DEVICES) if policy.programs else ())),
    )


def _try(enter: Callable[[], None], name: str, missing: list[str]) -> str:
    try:
        enter()
    except OSError as error:
        missing.append(f"{name}: {error}")
        return ""
    return name


def _python_paths() -> tuple[str, ...]:
    """Where this interpreter and everything it may import are."""
    found = {sys.prefix, sys.base_prefix, sys.exec_prefix, str(Path(sys.executable).parent)}
    found.update(entry for entry in sys.path if entry and Path(entry).is_absolute())
    return tuple(sorted(found))


def _found(patterns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(path for pattern in patterns for path in sorted(glob.glob(pattern)))


def _limit(policy: SandboxPolicy, n_tasks: int) -> None:
    """Bound memory, processor time, files and tasks; never above what the process was given.

    ``n_tasks`` run on this machine now; the kernel counts those of a user, root's excepted.
    """
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NPROC, n_tasks + (_SORTER_TASKS if policy.programs else _READER_TASKS))
    if policy.memory_bytes:
        _lower(resource.RLIMIT_DATA, _private_bytes() + policy.memory_bytes)
    if policy.cpu_s:
        used_s = resource.getrusage(resource.RUSAGE_SELF)
        most_s = int(used_s.ru_utime + used_s.ru_stime) + policy.cpu_s + 1
        _lower(resource.RLIMIT_CPU, most_s, most_s + 1)  # first SIGXCPU, which tells why
    if policy.file_bytes:
        _lower(resource.RLIMIT_FSIZE, policy.file_bytes)
    if not policy.programs:
        _lower(resource.RLIMIT_NOFILE, _OPEN_FILES)


def _lower(kind: int, soft: int, hard: int | None = None) -> None:
    _, given = resource.getrlimit(kind)
    most = soft if hard is None else hard
    if given != resource.RLIM_INFINITY:
        soft, most = min(soft, given), min(most, given)
    resource.setrlimit(kind, (soft, most))


def _tasks() -> int:
    """Threads of all processes on this machine."""
    running = Path("/proc/loadavg").read_text(encoding="ascii").split()[3]
    return int(running.partition("/")[2])


def _private_bytes() -> int:
    """What the kernel counts against RLIMIT_DATA: private writable memory, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
