"""Fields of a header, checked before they are used: each either is what it must be or is refused.

A header comes from outside: a key may be missing, a number may be text, a count absurd. Asking here
keeps the readers free of trying, so that whatever they raise themselves is a bug and shows as one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikefleet.signal.formats.reader_errors import corrupt, reading

MOST_CHANNELS = 100_000
"""More than any array made: a header that claims more is damaged or hostile."""
_MOST_HEADER_BYTES = 64 << 20
_SHOWN = 60


def read_json(path: Path) -> Any:
    """Return the JSON document in a file.

    Raises:
        InputMissingError: it is not there.
        InputCorruptError: ``unreadable`` for what is not JSON, ``absurd`` beyond 64 MB.
    """
    with reading(path):
        size_bytes = path.stat().st_size
        if size_bytes > _MOST_HEADER_BYTES:
            raise corrupt(path, "absurd", f"a header of {size_bytes} bytes is none.")
        text = path.read_bytes()
    try:
        return json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        detail = f"it is not JSON ({type(error).__name__}: {str(error)[:100]})."
        raise corrupt(path, "unreadable", detail) from error


def entry(document: Any, key: str, path: Path) -> Any:
    """Return ``document[key]``; refused where it is no mapping or lacks the key."""
    if not isinstance(document, Mapping):
        raise corrupt(path, "unreadable", f"where {key} should be is not a table of fields.")
    if key not in document:
        raise corrupt(path, "unreadable", f"its header lacks {key}.")
    return document[key]


def number(value: Any, what: str, path: Path, *, above: float | None = None) -> float:
    """Return a finite number, from a number or the text of one, above ``above`` where given."""
    found = _as_number(value)
    if found is None or (above is not None and not found > above):
        wanted = "a number" if above is None else f"a number above {above:g}"
        raise corrupt(path, "unreadable", f"{what} must be {wanted}, not {_shown(value)}.")
    return found


def whole(value: Any, what: str, path: Path, *, least: int = 0, most: int = 1 << 62) -> int:
    """Return a whole number from ``least`` to ``most``, from a number or the text of one."""
    found = _as_whole(value)
    if found is None or not least <= found <= most:
        bounds = f"from {least} to {most}" if most < 1 << 62 else f"of at least {least}"
        raise corrupt(
            path, "unreadable", f"{what} must be a whole number {bounds}, not {_shown(value)}."
        )
    return found


def sample_type(value: Any, what: str, path: Path) -> np.dtype[Any]:
    """Return the NumPy type of samples: plain numbers only, never objects."""
    try:
        found = np.dtype(value) if isinstance(value, str | np.dtype) else None
    except (TypeError, ValueError, SyntaxError):
        found = None
    if found is None or found.kind not in "iuf" or found.shape != ():
        raise corrupt(path, "unreadable", f"{what} must be a type of numbers, not {_shown(value)}.")
    return found


def _as_number(value: Any) -> float | None:
    plain = _unwrapped(value)
    if isinstance(plain, bool) or not isinstance(plain, int | float | str):
        return None
    try:
        found = float(plain)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _as_whole(value: Any) -> int | None:
    plain = _unwrapped(value)
    if isinstance(plain, int) and not isinstance(plain, bool):
        return plain
    if isinstance(plain, str) and len(plain) <= _SHOWN:
        try:
            return int(plain)
        except ValueError:
            return None
    return int(plain) if isinstance(plain, float) and plain.is_integer() else None


def _unwrapped(value: Any) -> Any:
    """Return a plain Python value of a NumPy one, or of an array of one element; bytes as text."""
    if isinstance(value, list | tuple):
        value = value[0] if len(value) == 1 else None
    if isinstance(value, np.ndarray | np.generic):
        if value.size != 1:
            return None
        value = value.reshape(-1)[0].item() if isinstance(value, np.ndarray) else value.item()
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value


def _shown(value: Any) -> str:
    return repr(str(value)[:_SHOWN])
