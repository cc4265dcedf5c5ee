"""Names of sorted units and of channels, as texts: what a document of a sort may call them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import SupportsIndex

MOST_OF_A_NAME = 200
_NO_TEXT = frozenset({"Cc", "Cs"})  # controls, and halves of characters that no file can hold


def unit_names(given: Iterable[object]) -> tuple[str, ...]:
    """Return the names of units as texts, in order.

    Raises ValueError where one is neither text nor number, is longer than 200 characters, holds a
    control character or half a character, or where two are the same text: nothing could tell such
    units apart.
    """
    names = tuple(_name(each) for each in given)
    for name in names:
        if len(name) > MOST_OF_A_NAME:
            raise ValueError(
                f"the name of a unit that begins with {name[:30]!r} has {len(name)} characters; "
                f"{MOST_OF_A_NAME} are the most"
            )
        if any(unicodedata.category(character) in _NO_TEXT for character in name):
            raise ValueError(f"{name!r:.60} is no name of a unit")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ValueError(f"more than one unit is called {twice[0]!r:.60}")
    return names


def channel_names(given: Iterable[object]) -> tuple[str, ...]:
    """Return the names of channels as texts, in order; headers of recorders hold odd characters.

    Raises ValueError where one is neither text nor number, or holds half a character.
    """
    names = tuple(_name(each) for each in given)
    for name in names:
        if any(unicodedata.category(character) == "Cs" for character in name):
            raise ValueError(f"{name!r:.60} is no name of a channel")
    return names


def _name(given: object) -> str:
    if isinstance(given, bool) or not isinstance(given, str | float | SupportsIndex):
        raise ValueError(f"{given!r:.60} is no name")  # noqa: TRY004 - a document's value, not a caller's
    return str(given)
