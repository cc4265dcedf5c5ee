"""Names of files that came from outside: a list of them, checked before the first byte is written.

What passes stays inside the folder it is put in, on any file system, and no file of it replaces
another. Decides about names only and touches no disk.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_MOST_PART_BYTES = 255
_MOST_PATH_BYTES = 4096


class UnsafeNameError(ValueError):
    """A name that would leave its folder, cannot be written, or meets another one."""


def check_name(path: str) -> str:
    """Return ``path`` when it is relative, POSIX, and stays where it is put.

    Raises UnsafeNameError: absolute, empty parts, ``.`` or ``..``, NUL or other control characters,
    text that is not Unicode, a part of more than 255 bytes, 4096 bytes in all.
    """
    try:
        size_bytes = len(path.encode())
    except UnicodeEncodeError as error:
        raise UnsafeNameError(f"{path!r} is not text that a file can be named by") from error
    parts = path.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise UnsafeNameError(f"{path[:200]!r} is not a relative path that stays in its folder")
    if any(unicodedata.category(character) == "Cc" for character in path):
        raise UnsafeNameError(f"{path[:200]!r} holds a control character")
    longest = max(len(part.encode()) for part in parts)
    if longest > _MOST_PART_BYTES or size_bytes > _MOST_PATH_BYTES:
        raise UnsafeNameError(f"{path[:200]!r} is longer than a file's name may be")
    return path


def check_names(paths: Iterable[str]) -> None:
    """Check every name, and that no two of them are one file on some file system.

    Raises UnsafeNameError also for a name listed twice, names that differ only by case or by how an
    accent is written, and a file that is the folder of another.
    """
    files: dict[str, str] = {}
    for path in paths:
        key = _folded(check_name(path))
        if key in files:
            same = "listed twice" if files[key] == path else f"one file with {files[key]!r}"
            raise UnsafeNameError(f"{path!r} is {same}; some disks cannot tell them apart")
        files[key] = path
    for key, path in files.items():
        end = key.find("/")
        while end >= 0:
            if key[:end] in files:
                raise UnsafeNameError(f"{files[key[:end]]!r} is a file and the folder of {path!r}")
            end = key.find("/", end + 1)


def _folded(path: str) -> str:
    """The name as a disk sees it that knows neither case nor ways of writing an accent."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", path).casefold())
