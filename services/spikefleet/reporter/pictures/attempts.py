"""A picture that cannot be drawn: a sentence in the report rather than the end of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.core.visible_text import visible_line

# What numpy and matplotlib raise on values that nothing can be drawn of.
_UNDRAWABLE = (ValueError, IndexError, KeyError, TypeError, ArithmeticError, InputCorruptError)
_Drawn = TypeVar("_Drawn")
_LONGEST = 200  # characters of a reason


def try_to_draw(what: str, notes: list[str], draw: Callable[[], _Drawn]) -> _Drawn | None:
    """Return what ``draw`` drew; None, with the reason added to ``notes``, where it could not."""
    try:
        return draw()
    except _UNDRAWABLE as error:
        reason = visible_line(str(error))[:_LONGEST].rstrip(".") or type(error).__name__
        notes.append(f"Not drawn: the {what} ({reason}).")
        return None
