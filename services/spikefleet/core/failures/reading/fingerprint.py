"""One stable short name for failures that look alike, so that unknown ones can be counted.

Numbers, times, addresses, ids, quoted values and paths differ between two runs of one bug and are
left out; the exception's type, the functions it passed through and the words of its message stay.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

_FRAMES_KEPT = 8
_LONGEST_READ = 2000
_REPLACED = (
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(r"0x[0-9a-fA-F]+"), "<address>"),
    (re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F-]{22}\b"), "<id>"),
    (re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`"), "<value>"),
    (re.compile(r"(?:\w+:)?(?:[\\/]+[\w.+@~-]+){2,}[\\/]?"), "<path>"),
    (re.compile(r"\b[\w.+@~-]+(?:[\\/][\w.+@~-]+){2,}"), "<path>"),
    (re.compile(r"\b(?=[a-f]*\d)[0-9a-f]{8,}\b"), "<id>"),
    (re.compile(r"\btmp[a-z0-9_]{6,}\b"), "<id>"),
    (re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"), "<n>"),
    (re.compile(r"<n>(?:[:.,x×/ -]*<n>)+"), "<n>"),
    (re.compile(r"\|[ #=>█▉▊▋▌▍▎▏-]*\|"), "|"),
    (re.compile(r"\s+"), " "),
)


def normalise(message: str) -> str:
    """Return a message without what differs from run to run."""
    message = message[:_LONGEST_READ]
    for pattern, placeholder in _REPLACED:
        message = pattern.sub(placeholder, message)
    return message.strip()[:300]


def fingerprint(exception_type: str, frames: Sequence[str], message: str) -> str:
    """Return 16 hex digits for an exception type, its frames (``file:function``) and message."""
    kept = [re.sub(r"\d+", "<n>", frame) for frame in frames[-_FRAMES_KEPT:]]
    text = "\n".join([exception_type, *kept, normalise(message)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
