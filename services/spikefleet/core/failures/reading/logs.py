"""Reading logs within bounds, whatever their length, lines or bytes are.

A log's head and tail are kept whole (2 MB at most); of what is between, the last 32 MB are
searched and only the lines that hold one of the marks are kept. What nobody looked at is counted.
Decides what of a log is looked at; what it means is for the rules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAX_LOG_BYTES = 2_000_000
TAIL_BYTES = 262_144
HEAD_BYTES = 32_768
SCAN_BYTES = 32_000_000
_LINE_KEPT = 400
_HITS_TRIED = 20
_BLANKS_PASSED = 20
_CHUNK_BYTES = 4_000_000
_SCAN_LINES_KEPT = 50


def read_log_tail(path: Path, limit_bytes: int = TAIL_BYTES) -> str:
    """Return the end of a log, from a line's start; "" when it cannot be read.

    Never reads more than 2 MB, however long the log is. Progress bars become lines. A last line
    longer than the limit is returned cut at its beginning.
    """
    limit = max(0, min(limit_bytes, MAX_LOG_BYTES))
    try:
        with path.open("rb") as handle:
            size = handle.seek(0, 2)
            handle.seek(max(0, size - limit))
            text = _text(handle.read(limit))
    except OSError:
        return ""
    if size <= limit:
        return text
    _, newline, rest = text.partition("\n")
    return rest if newline and rest.strip() else text


def read_log_head(path: Path, limit_bytes: int = HEAD_BYTES) -> str:
    """Return the beginning of a log, where sorters say what they were given; "" when unreadable."""
    try:
        with path.open("rb") as handle:
            return _text(handle.read(max(0, min(limit_bytes, MAX_LOG_BYTES))))
    except OSError:
        return ""


@dataclass(frozen=True)
class LogText:
    """What was read of a log: its ends, the telling lines between them, and the bytes passed by."""

    head: str = ""
    tail: str = ""
    scan: str = ""
    unread_bytes: int = 0


def read_log(path: Path | None, marks: Iterable[str] = ()) -> LogText:
    """Return a log's head, tail and, of what is between, the lines that hold one of ``marks``.

    Each of these lines comes with the one before it, which tells whether it ends a traceback. A
    log that cannot be read (or None) gives an empty answer.
    """
    if path is None:
        return LogText()
    head, tail = read_log_head(path), read_log_tail(path)
    try:
        with path.open("rb") as handle:
            end = handle.seek(0, 2) - TAIL_BYTES
            start = max(HEAD_BYTES, end - SCAN_BYTES)
            lines = _telling_lines(handle, start, end, [mark.encode() for mark in marks])
    except OSError:
        return LogText(head, tail)
    return LogText(head, tail, "".join(lines), max(0, start - HEAD_BYTES) if end > 0 else 0)


def _telling_lines(handle: BinaryIO, start: int, end: int, marks: list[bytes]) -> list[str]:
    """The last lines with a mark between two offsets, in order, each with the one before it."""
    found: deque[str] = deque(maxlen=_SCAN_LINES_KEPT)
    for offset in range(start, end, _CHUNK_BYTES):
        handle.seek(offset)
        chunk = handle.read(min(_CHUNK_BYTES, end - offset) + _LINE_KEPT)
        hits = set[int]()
        for mark in marks:
            at = chunk.find(mark)
            for _ in range(_HITS_TRIED):
                if at < 0:
                    break
                hits.add(chunk.rfind(b"\n", 0, at) + 1)
                at = chunk.find(mark, at + _LINE_KEPT)
        for at in sorted(hits)[-_SCAN_LINES_KEPT:]:
            before = max(chunk.rfind(b"\n", 0, max(0, at - 1)) + 1, at - _LINE_KEPT)
            stop = chunk.find(b"\n", at, at + 2 * _LINE_KEPT)
            line = chunk[before : stop if stop >= 0 else at + 2 * _LINE_KEPT]
            found.append(_text(line).strip("\n") + "\n")
    return list(found)


def _text(data: bytes) -> str:
    text = data.decode("utf-8", errors="replace")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\0", "") if "\0" in text else text


@dataclass(frozen=True)
class Line:
    """A line of a text: where it starts, what it says (cut to a sane length around the mark)."""

    start: int
    text: str


def lines_with(text: str, mark: str) -> Iterator[Line]:
    """Yield the lines that hold ``mark``, the last one first; at most twenty.

    A line without end is looked at only around the mark.
    """
    end = len(text)
    for _ in range(_HITS_TRIED):
        at = text.rfind(mark, 0, end)
        if at < 0:
            return
        start = text.rfind("\n", max(0, at - _LINE_KEPT), at) + 1 or max(0, at - _LINE_KEPT)
        stop = text.find("\n", at, at + 2 * _LINE_KEPT)
        yield Line(start, text[start : stop if stop >= 0 else at + 2 * _LINE_KEPT])
        end = start


def start_of_last_lines(text: str, count: int) -> int:
    """Return where the last ``count`` lines with words in them begin.

    Looks at twenty times as many lines at most; a log's end of more blank lines hides its words.
    """
    position, seen = len(text), 0
    for _ in range(_BLANKS_PASSED * count):
        if position <= 0 or seen >= count:
            break
        newline = text.rfind("\n", 0, position)
        seen += bool(text[max(newline + 1, position - _LINE_KEPT) : position].strip())
        position = max(newline, 0)
    return position


def last_lines(text: str, count: int) -> list[str]:
    """Return the last ``count`` lines with words in them, cut to a sane length each."""
    lines = text[start_of_last_lines(text, count) :].splitlines()
    return [line.rstrip()[:_LINE_KEPT] for line in lines if line.strip()][-count:]


def both_ends(text: str, limit: int) -> str:
    """Return a text in at most ``limit`` characters: its start, and more of its end."""
    if len(text) <= limit:
        return text
    start = limit // 4
    return f"{text[:start]} … {text[-(limit - start - 3) :]}"
