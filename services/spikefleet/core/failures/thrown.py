"""Exceptions as plain data, read from the child's document or out of a traceback's text.

Some libraries wrap a sorter's error in one exception whose message is the whole traceback; then
the error inside is what counts. Parses; judges nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

MAX_MESSAGE = 4000
_TRACEBACK = "Traceback (most recent call last):"
_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line \d+, in (?P<function>\S+)')
_LAST = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")
_ERRNO = re.compile(r"\[Errno (\d+)\]")
_WRAPPERS = frozenset({"SpikeSortingError", "RemoteTraceback", "_RemoteTraceback"})


@dataclass(frozen=True)
class Thrown:
    """One exception. ``frames`` are ``file:function``, outermost first, from the package on."""

    type_name: str
    message: str
    frames: tuple[str, ...] = ()
    errno: int | None = None

    def innermost(self, packages: Sequence[str]) -> str:
        """Return the innermost frame inside one of ``packages``, or ""."""
        inside = (frame for frame in reversed(self.frames) if frame.startswith(tuple(packages)))
        return next(inside, "")


def package_path(file: str) -> str:
    """Shorten a file's path to the part that is the same on every machine."""
    path = file.replace("\\", "/")
    for root in ("site-packages/", "dist-packages/", "services/"):
        _, found, rest = path.rpartition(root)
        if found:
            return rest
    return "/".join(path.rsplit("/", 3)[-3:])


def from_document(document: Mapping[str, Any]) -> list[Thrown]:
    """Return the exception of a child's document, innermost meaning first, then its causes."""
    message = str(document.get("message", ""))
    name = str(document.get("exception_type", ""))
    module = str(document.get("module", ""))
    frames = tuple(
        f"{package_path(str(frame.get('file', '')))}:{frame.get('function', '')}"
        for frame in document.get("frames") or ()
        if isinstance(frame, Mapping)
    )
    code = document.get("errno")
    own = Thrown(
        f"{module}.{name}" if module not in ("", "builtins") else name,
        message[:MAX_MESSAGE],
        frames,
        code if isinstance(code, int) else _errno(message),
    )
    tail = document.get("trace_tail") or ""
    text = tail if isinstance(tail, str) else "\n".join(str(line) for line in tail)
    causes = [cause for cause in from_text(text) if not _same(cause, own)]
    if _TRACEBACK in message or name in _WRAPPERS:
        return [*from_text(message), own, *causes]
    return [own, *causes] if own.type_name else causes


def from_text(text: str) -> list[Thrown]:
    """Return the exceptions of every traceback in a text, the last one first."""
    found = []
    for block in text.split(_TRACEBACK)[1:]:
        thrown = _parse(block.splitlines())
        if thrown is not None and thrown.type_name.rpartition(".")[2] not in _WRAPPERS:
            found.append(thrown)
    return found[::-1]


def _parse(lines: Sequence[str]) -> Thrown | None:
    """Read one traceback: frames, then the line at its left edge that names the exception."""
    frames: list[str] = []
    for number, line in enumerate(lines):
        frame = _FRAME.match(line)
        if frame:
            frames.append(f"{package_path(frame['file'])}:{frame['function']}")
            continue
        last = _LAST.match(line.strip()) if line[:1].strip() and frames else None
        if last:
            rest = takewhile(str.strip, lines[number + 1 : number + 6])
            message = "\n".join([last["message"] or "", *rest])[:MAX_MESSAGE].strip()
            return Thrown(last["type"], message, tuple(frames), _errno(message))
    return None


def _errno(message: str) -> int | None:
    found = _ERRNO.search(message)
    return int(found[1]) if found else None


def _same(one: Thrown, other: Thrown) -> bool:
    return (
        one.type_name.rpartition(".")[2] == other.type_name.rpartition(".")[2]
        and one.message[:60] == other.message[:60]
    )
