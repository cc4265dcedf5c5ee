"""The rights of a superuser, given up: a service that runs as root must not lend them to a reader.

Kept are only those to read and write files whose owner is somebody else, which the path rules
bound. A process without such rights loses nothing here.
"""

from __future__ import annotations

import ctypes
import os

_VERSION_3 = 0x20080522
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT, _CLEAR_ALL = 47, 4
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2
_KEPT = (1 << _DAC_OVERRIDE) | (1 << _DAC_READ_SEARCH)
_LAST_KNOWN = 63


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Set(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def drop_capabilities() -> None:
    """Give up every capability but the two for files, for good. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(_VERSION_3, 0), (_Set * 2)()
    _check(libc.capget(ctypes.byref(header), ctypes.byref(sets)), "capget")
    for number in range(_LAST_KNOWN + 1):
        if not _KEPT & (1 << number):
            libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # refused to all but a superuser
    libc.prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    for half, kept in zip(sets, (_KEPT & 0xFFFFFFFF, _KEPT >> 32), strict=True):
        half.permitted &= kept
        half.effective &= kept
        half.inheritable = 0
    header = _Header(_VERSION_3, 0)
    _check(libc.capset(ctypes.byref(header), ctypes.byref(sets)), "capset")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
