"""Reading logs within bounds: never more than 2 MB, whatever their length, lines or bytes are.

Decides what of a log is looked at; what it means is for the rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_LOG_BYTES = 2_000_000
TAIL_BYTES = 262_144
HEAD_BYTES = 32_768
_LINE_KEPT = 400
_HITS_TRIED = 20
_BLANKS_PASSED = 20


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
