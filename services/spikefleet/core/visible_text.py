"""Text from outside, made safe to show: nothing in it moves a cursor, colours, or hides a word.

Channel names, file names and the words of foreign programs reach terminals and logs. Decides about
characters only.
"""

from __future__ import annotations

import re
import unicodedata

_STANDS_FOR_IT = "\N{REPLACEMENT CHARACTER}"
_KEPT = frozenset("\n\t\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}\N{SOFT HYPHEN}")
# Controls (escape sequences begin with one), marks that turn the direction of writing, half
# characters, and what ends a line without being a newline.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(text: str) -> str:
    """Return ``text`` with a replacement character for each that is not seen; lines stay lines."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_STANDS_FOR_IT if _is_hidden(character) else character for character in text)


def visible_line(text: str) -> str:
    """Return ``text`` as one line: a break is written as ``\\n``."""
    return visible(text).replace("\n", "\\n")


def _is_hidden(character: str) -> bool:
    return character not in _KEPT and unicodedata.category(character) in _HIDDEN


_LOGIN = re.compile(r"//[^/?#@\s]*(?::\S*)?@")
_SECRET = re.compile(r"(?i)\b([\w-]*(?:password|passwd|secret|token|credential)[\w-]*=)[^&;\s]+")


def without_secrets(url: str) -> str:
    """Return a URL as it may be shown: without who logs in, and without what only he knows."""
    return _SECRET.sub(r"\1***", _LOGIN.sub("//***@", url))
