"""The layer for kernels without Landlock: a root folder of its own, with nothing else in it.

A user namespace lets an ordinary process build one: an empty file system, into which only the
allowed paths are bound, read-only but for the scratch, with no network at all. It costs some
milliseconds more than Landlock and needs unprivileged user namespaces.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from spikefleet.infra.system.landlock import Allowed

_NEW_MOUNTS, _NEW_USER, _NEW_NET, _NEW_IPC = 0x00020000, 0x10000000, 0x40000000, 0x08000000
_BIND, _RECURSIVE, _PRIVATE, _REMOUNT = 4096, 16384, 1 << 18, 32
_READ_ONLY, _NO_SETUID, _NO_DEVICES = 1, 2, 4
_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_TMPFS_SIZE = "size=1m,mode=755"


def enter_namespaces(allowed: Allowed) -> None:
    """Leave this process with ``allowed`` as all there is of the file system, and no network.

    Must be called from the only thread. Raises OSError where the kernel does not let it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    here = Path.cwd()
    _check(libc.unshare(_NEW_USER | _NEW_MOUNTS | _NEW_NET | _NEW_IPC), "unshare")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {uid} 1")
    _write("/proc/self/gid_map", f"{gid} {gid} 1")
    _mount(libc, "none", "/", None, _RECURSIVE | _PRIVATE)
    # Any folder will do as the place to build at: the mount hides it, in this namespace only.
    root = Path("/tmp")
    kept = {place: _open(place) for place in _bound(allowed)}
    _mount(libc, "tmpfs", str(root), "tmpfs", _NO_SETUID | _NO_DEVICES, _TMPFS_SIZE)
    for (path, is_writable), descriptor in kept.items():
        if descriptor is not None:
            _bind(libc, descriptor, root / path.lstrip("/"), is_writable=is_writable)
    _pivot(libc, root)
    os.chdir(here if here.is_dir() else "/")


def _bound(allowed: Allowed) -> list[tuple[str, bool]]:
    """Paths outer ones first, each with whether it is writable."""
    places = {os.path.realpath(path): False for path in (*allowed.readable, *allowed.executable)}
    places |= dict.fromkeys((*allowed.readable, *allowed.executable), False)
    places |= {os.path.realpath(path): True for path in (*allowed.writable, *allowed.devices)}
    return sorted(places.items())


def _open(place: tuple[str, bool]) -> int | None:
    try:
        return os.open(place[0], os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return None


def _bind(libc: ctypes.CDLL, descriptor: int, target: Path, *, is_writable: bool) -> None:
    source = Path(f"/proc/self/fd/{descriptor}")
    try:
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
    except OSError:
        return  # below a place that is bound already, and there with it
    _mount(libc, str(source), str(target), None, _BIND | _RECURSIVE)
    flags = _BIND | _REMOUNT | _NO_SETUID | _locked_flags(target)
    if not is_writable:
        _mount(libc, "none", str(target), None, flags | _READ_ONLY)
    os.close(descriptor)


def _locked_flags(target: Path) -> int:
    """Flags of the outer mount that a user namespace must not take away when it mounts again."""
    return os.statvfs(target).f_flag & (_READ_ONLY | _NO_DEVICES | 8 | 1024 | 2048)


def _pivot(libc: ctypes.CDLL, root: Path) -> None:
    """Make ``root`` the only root and let go of the old one."""
    number = _PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(f"pivot_root has no known number on {os.uname().machine}")
    os.chdir(root)
    _check(libc.syscall(ctypes.c_long(number), b".", b"."), "pivot_root")
    _check(libc.umount2(b".", _DETACH), "umount2")
    os.chdir("/")


def _mount(
    libc: ctypes.CDLL, source: str, target: str, kind: str | None, flags: int, data: str = ""
) -> None:
    result = libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        data.encode() if data else None,
    )
    _check(result, f"mount on {target}")


def _write(path: str, text: str) -> None:
    Path(path).write_text(text, encoding="ascii")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
