"""Documents that somebody else wrote: an attempt's pod, or whoever has its credentials.

A document that was torn or made up must cost its own attempt at most. So it is brought within
bounds where it is read: no endless text, no number that a database or a wire cannot hold, no
nesting without end. What is out of bounds is cut or becomes None; what is of another kind than its
reader asks for is left out. Judges nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

MOST_BYTES = 4 << 20  #: of one document in the store

_MOST_CHARACTERS = 16_384  # of one text
_MOST_ENTRIES = 1_000  # of one list or table
_DEEPEST = 12
_LARGEST = 2**62  # fits every integer of a wire and a database
_STEP_CHARACTERS = 200
_LONGEST_ID = 256
_AHEAD = timedelta(hours=1)  # a clock that is so far ahead of ours is not believed
_EXIT_CODES = range(256)


def bounded(value: Any, *, deepest: int = _DEEPEST) -> Any:
    """Return a JSON value within bounds: what cannot be kept becomes None, what is long is cut."""
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < _LARGEST else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if deepest and isinstance(value, Mapping):
        entries = list(value.items())[:_MOST_ENTRIES]
        return {_text(str(k)): bounded(v, deepest=deepest - 1) for k, v in entries}
    if deepest and isinstance(value, list | tuple):
        return [bounded(each, deepest=deepest - 1) for each in value[:_MOST_ENTRIES]]
    return None


def bounded_table(value: Any) -> dict[str, Any] | None:
    """Return a JSON object within bounds; None for anything else."""
    return bounded(value) if isinstance(value, Mapping) else None


def number(value: object, *, least: float = 0.0, most: float = float(_LARGEST)) -> float | None:
    """Return a number between ``least`` and ``most``; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if least <= value <= most else None


def count(value: object) -> int | None:
    """Return a whole number from 0 on, at most one that every database holds; else None."""
    found = number(value)
    return None if found is None else min(int(found), _LARGEST - 1)


def exit_code(value: object) -> int | None:
    """Return a process's exit code, 0 to 255; None for anything else."""
    return value if type(value) is int and value in _EXIT_CODES else None


def moment_of(value: object, now: datetime) -> datetime | None:
    """Return a time given as seconds of the epoch; None for none, and for one yet to come."""
    found = number(value)
    if found is None or found > (now + _AHEAD).timestamp():
        return None
    return datetime.fromtimestamp(found, UTC)


def progress(said: object) -> dict[str, Any] | None:
    """Return what an attempt says of its progress, each field of its kind; None for no table."""
    if not isinstance(said, Mapping):
        return None
    step = said.get("step")
    return {
        "step": _text(step)[:_STEP_CHARACTERS] if isinstance(step, str) else "",
        "fraction": number(said.get("fraction"), most=1.0),
        "spikes": count(said.get("spikes")),
        "memory_bytes": count(said.get("memory_bytes")),
        "elapsed_s": number(said.get("elapsed_s")),
    }


def _text(text: str) -> str:
    """Text that every database takes: no NUL, no half of a character, not too long."""
    kept = text[:_MOST_CHARACTERS].replace("\x00", "")
    return kept.encode("utf-8", "replace").decode()
