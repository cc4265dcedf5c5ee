"""Exceptions as plain data: written as a document, read from one or out of a traceback's text.

Some libraries wrap a sorter's error in one exception whose message is the whole traceback; then
the error inside is what counts. Parses; judges nothing.
"""

from __future__ import annotations

import re
import traceback
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

MAX_MESSAGE = 4000
_TRACEBACK = "Traceback (most recent call last):"
_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line \d+, in (?P<function>\S+)')
_LAST = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")
_ERRNO = re.compile(r"\[Errno (\d+)\]")
_WENT_ON = re.compile(r"it/s\]|s/it\]|\[spikefleet\] step=|(?i:continuing|retrying|recovered)")
_CHAINED = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
_CHAIN_LONGEST = 5
_LINES_AFTER = 8
_TAIL_LINES = 60
_LINES_READ = 2000
_CHARACTERS_READ = 262_144
_WRAPPERS = frozenset({"SpikeSortingError", "RemoteTraceback", "_RemoteTraceback"})


_CAUSES_MOST = 16
_OURS = "spikefleet/"
# Types that a mistake in code raises. The others tell of files, memory, devices or the network.
_MISTAKES = frozenset(
    {
        "ArithmeticError",
        "AssertionError",
        "AttributeError",
        "IndexError",
        "KeyError",
        "LookupError",
        "NameError",
        "NotImplementedError",
        "OverflowError",
        "RecursionError",
        "StopIteration",
        "TypeError",
        "UnboundLocalError",
        "ValueError",
        "ZeroDivisionError",
    }
)


@dataclass(frozen=True)
class Thrown:
    """One exception. ``frames`` are ``file:function``, outermost first, from the package on."""

    type_name: str
    message: str
    frames: tuple[str, ...] = ()
    errno: int | None = None

    @property
    def is_ours(self) -> bool:
        """Whether a mistake of our own code raised it: the innermost frame is spikefleet's."""
        inside = bool(self.frames) and self.frames[-1].startswith(_OURS)
        return inside and self.type_name in _MISTAKES

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


def to_document(error: BaseException) -> dict[str, Any]:
    """Return an exception as JSON-ready data; ``frames`` run from the outermost inwards.

    ``causes`` are its causes and contexts, the nearest first, whether or not they were ever raised.
    """
    return {
        **_facts(error),
        "causes": [_facts(cause) for cause in _causes(error)],
        "trace_tail": "".join(traceback.format_exception(error)).splitlines()[-_TAIL_LINES:],
    }


def _facts(error: BaseException) -> dict[str, Any]:
    return {
        "exception_type": type(error).__name__,
        "module": type(error).__module__,
        "message": str(error),
        "errno": error.errno if isinstance(error, OSError) else None,
        "frames": [
            {"file": frame.filename, "function": frame.name, "line": frame.lineno}
            for frame in traceback.extract_tb(error.__traceback__)
        ],
    }


def _causes(error: BaseException) -> list[BaseException]:
    """What an exception came of, and what it bundles; every one once, the nearest first."""
    found: list[BaseException] = []
    seen, queue = {id(error)}, deque([error])
    while queue and len(found) < _CAUSES_MOST:
        current = queue.popleft()
        hides = current.__suppress_context__ and current.__cause__ is None  # raise … from None
        nearest = [current.__cause__, None if hides else current.__context__]
        bundled = current.exceptions if isinstance(current, BaseExceptionGroup) else ()
        for cause in (*nearest, *bundled):
            if cause is not None and id(cause) not in seen:
                seen.add(id(cause))
                found.append(cause)
                queue.append(cause)
    return found[:_CAUSES_MOST]


def from_document(document: Mapping[str, Any]) -> list[Thrown]:
    """Return the exception of a child's document, innermost meaning first, then its causes."""
    own = _thrown_of(document)
    tail = document.get("trace_tail")
    text = tail if isinstance(tail, str) else "\n".join(str(line) for line in _listed(tail))
    listed = [each for each in _listed(document.get("causes")) if isinstance(each, Mapping)]
    found = [*_unwrapped(document, own)]
    for cause in listed[:_CAUSES_MOST]:
        found += _unwrapped(cause, _thrown_of(cause))
    for printed in from_text(text):
        if not any(_same(printed, known) for known in found):
            found.append(printed)
    return found


def _unwrapped(document: Mapping[str, Any], thrown: Thrown) -> list[Thrown]:
    """An exception, after those whose traceback is its message."""
    message, name = str(document.get("message", "")), thrown.type_name.rpartition(".")[2]
    own = [thrown] if thrown.type_name else []
    if _TRACEBACK in message or name in _WRAPPERS:
        return [*from_text(message), *own]
    return own


def _thrown_of(document: Mapping[str, Any]) -> Thrown:
    message = str(document.get("message", ""))
    name = str(document.get("exception_type", ""))
    module = str(document.get("module", ""))
    frames = tuple(
        f"{package_path(str(frame.get('file', '')))}:{frame.get('function', '')}"
        for frame in _listed(document.get("frames"))
        if isinstance(frame, Mapping)
    )
    code = document.get("errno")
    return Thrown(
        f"{module}.{name}" if module not in ("", "builtins") else name,
        message[:MAX_MESSAGE],
        frames,
        code if type(code) is int else _errno(message),
    )


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def from_text(text: str) -> list[Thrown]:
    """Return the exceptions of every traceback in a text, the last one first."""
    found = []
    for block in text[-_CHARACTERS_READ:].split(_TRACEBACK)[1:]:
        thrown = _parse(block.splitlines())
        if thrown is not None and thrown.type_name.rpartition(".")[2] not in _WRAPPERS:
            found.append(thrown)
    return found[::-1]


def at_end_of(log: str) -> list[Thrown]:
    """Return the exception a log ends with, and its causes; none when the program continued.

    A traceback with more than a few lines after it, or with a new step or progress bar, is of an
    error somebody handled.
    """
    start = log.rfind(_TRACEBACK)
    if start < 0:
        return []
    lines = log[start:].splitlines()[:_LINES_READ]
    ended = next((n for n, line in enumerate(lines) if n and _ends(line)), len(lines))
    after = [line for line in lines[ended + 1 :] if line.strip()]
    if len(after) > _LINES_AFTER or any(_WENT_ON.search(line) for line in after):
        return []
    return from_text(log[_start_of_chain(log, start) :])


def _ends(line: str) -> bool:
    return bool(line[:1].strip()) and bool(_LAST.match(line.strip()))


def _start_of_chain(log: str, start: int) -> int:
    """Where the first traceback of a chain begins: causes are printed before what they caused."""
    for _ in range(_CHAIN_LONGEST):
        before = log[max(0, start - 120) : start].rstrip()
        earlier = log.rfind(_TRACEBACK, 0, start) if before.endswith(_CHAINED) else -1
        if earlier < 0:
            break
        start = earlier
    return start


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
