"""Landlock: the kernel refuses this process every path that it was not given.

The three system calls and the bits of their arguments, as the kernel's
``Documentation/userspace-api/landlock.rst`` has them. It decides nothing: who may read what stands
in ``confinement``. What was given can never be widened again, and children inherit it.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntFlag

# The same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_NO_NEW_PRIVS = 38


class _Access(IntFlag):
    """``LANDLOCK_ACCESS_FS_*``."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


_KNOWN_IN_FIRST = _Access(_Access.REFER - 1)
_ADDED_IN = {2: _Access.REFER, 3: _Access.TRUNCATE, 5: _Access.IOCTL_DEV}
_NETWORK_SINCE, _BIND_TCP, _CONNECT_TCP = 4, 1 << 0, 1 << 1
SCOPES_SINCE, _ABSTRACT_SOCKETS, _SIGNALS = 6, 1 << 0, 1 << 1

_FILE_ONLY = (
    _Access.EXECUTE | _Access.WRITE_FILE | _Access.READ_FILE | _Access.TRUNCATE | _Access.IOCTL_DEV
)
_READ = _Access.READ_FILE | _Access.READ_DIR
# No links, pipes, sockets or devices: whoever reads the folder later must meet files only.
_WRITE = (
    _READ
    | _Access.WRITE_FILE
    | _Access.TRUNCATE
    | _Access.REMOVE_DIR
    | _Access.REMOVE_FILE
    | _Access.MAKE_DIR
    | _Access.MAKE_REG
    | _Access.REFER
)
_DEVICE = _READ | _Access.WRITE_FILE | _Access.IOCTL_DEV


@dataclass(frozen=True)
class Allowed:
    """Paths a process keeps: files, or folders with everything below them.

    ``readable``: read and list; ``executable``: also run and map as code; ``writable``: read,
    make, change and remove files and folders; ``devices``: read, write and control.
    """

    readable: tuple[str, ...] = ()
    executable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def landlock_version() -> int:
    """The kernel's version of the interface; 0 where there is none, or it is switched off."""
    version = _syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    return max(0, version)


def restrict_paths(allowed: Allowed) -> int:
    """Keep the given paths only, for this process and its children; return the version used.

    Also refuses TCP, other processes' abstract sockets, and signals to processes outside, as far
    as the kernel knows how. A path that is not there is left out. Raises OSError.
    """
    version = landlock_version()
    if version == 0:
        raise OSError("this kernel has no Landlock")
    handled = _handled(version)
    ruleset = _create(version, handled)
    try:
        for paths, access in (
            (allowed.readable, _READ),
            (allowed.executable, _READ | _Access.EXECUTE),
            (allowed.writable, _WRITE),
            (allowed.devices, _DEVICE),
        ):
            _allow(ruleset, paths, access & handled)
        forbid_new_privileges()
        _check(_syscall(_RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
    finally:
        os.close(ruleset)
    return version


def forbid_new_privileges() -> None:
    """No program this process starts may gain rights (set-uid). Raises OSError."""
    if _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS was refused")


def _handled(version: int) -> _Access:
    handled = _KNOWN_IN_FIRST
    for since, access in _ADDED_IN.items():
        if version >= since:
            handled |= access
    return handled


def _create(version: int, handled: _Access) -> int:
    attributes = _RulesetAttributes(int(handled))
    size_bytes = 8
    if version >= _NETWORK_SINCE:
        attributes.handled_access_net = _BIND_TCP | _CONNECT_TCP
        size_bytes = 16
    if version >= SCOPES_SINCE:
        attributes.scoped = _ABSTRACT_SOCKETS | _SIGNALS
        size_bytes = 24
    found = _syscall(
        _CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size_bytes), ctypes.c_uint32(0)
    )
    return _check(found, "landlock_create_ruleset")


def _allow(ruleset: int, paths: Iterable[str], access: _Access) -> None:
    for path in paths:
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                is_folder = stat.S_ISDIR(os.fstat(place).st_mode)
                rule = _PathBeneath(int(access if is_folder else access & _FILE_ONLY), place)
                added = _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
                _check(added, f"landlock_add_rule for {path}")
            finally:
                os.close(place)


def _syscall(number: int, *arguments: object) -> int:
    return int(_LIBC.syscall(ctypes.c_long(number), *arguments))


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
