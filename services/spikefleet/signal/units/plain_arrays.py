"""Whether an array file holds numbers and text alone, and as much of them as it says.

NumPy unpickles an array of objects wherever its caller allows it, and allocates what a header asks
for. Both are decided here from the header, which is parsed as a literal and never evaluated.
"""

from __future__ import annotations

import math
import tokenize
import zipfile
from pathlib import Path
from typing import IO, Any

from numpy.lib import format as npy

_SUFFIXES = frozenset({".npy", ".npz"})
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
_PICKLE_STARTS = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_MOST_MEMBERS = 1000
_MOST_UNPACKED_BYTES = 1 << 30
_UNREADABLE = (
    ValueError, TypeError, LookupError, ArithmeticError, AttributeError, EOFError, OSError,
    SyntaxError, RecursionError, MemoryError, NotImplementedError, RuntimeError,
    tokenize.TokenError, zipfile.BadZipFile,
)  # fmt: skip


def what_is_wrong(path: Path) -> str:
    """Say in words why a file is no plain array; "" where it is one, or no array at all.

    A file is an array by its first bytes, whatever it is called, and by its name, whatever it
    holds: NumPy takes a ``.npy`` that is none for a pickle. Raises OSError where it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(len(npy.MAGIC_PREFIX))
        if start.startswith(_ZIP_STARTS):
            return _wrong_members(path)
        if start.startswith(npy.MAGIC_PREFIX):
            file.seek(0)
            return _wrong_array(file, path.stat().st_size)
    if start.startswith(_PICKLE_STARTS):
        return "a pickle, which is never loaded"
    return "no array, though it is called one" if path.suffix.lower() in _SUFFIXES else ""


def _wrong_members(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > _MOST_MEMBERS:
                return "an archive of arrays without bounds"
            if sum(member.file_size for member in members) > _MOST_UNPACKED_BYTES:
                return "an archive of arrays without bounds"
            for member in members:
                with archive.open(member) as file:
                    wrong = _wrong_array(file, member.file_size)
                if wrong:
                    return wrong
    except _UNREADABLE:
        return "no readable archive of arrays"
    return ""


def _wrong_array(file: IO[bytes], size_bytes: int) -> str:
    """The same for an array that begins where ``file`` stands and is ``size_bytes`` long."""
    try:
        read_header = _HEADERS[npy.read_magic(file)]
        shape, _, dtype = read_header(file)
        claimed_bytes = _claimed_bytes(shape, dtype)
        held_bytes = size_bytes - file.tell()
    except _UNREADABLE:
        return "no readable array"
    if dtype.hasobject:
        return "an array of objects, which is a pickle and never loaded"
    if not 0 <= claimed_bytes <= held_bytes:
        return "an array whose header claims more than the file holds"
    return ""


def _claimed_bytes(shape: tuple[int, ...], dtype: Any) -> int:
    """Elements without a size count as a byte: no file says how many of them there are."""
    if any(length < 0 for length in shape):
        raise ValueError("a negative length")
    return math.prod(shape) * max(1, int(dtype.itemsize))
