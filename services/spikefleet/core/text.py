"""Durations, sizes and counts as a person reads them: on terminals, in findings and in reports."""

from __future__ import annotations

import math
from typing import Any

GIB = 1 << 30
MISSING = "–"


def format_duration(seconds: Any) -> str:
    """0.42 s, 12.3 s, 4 min 5 s, 2 h 10 min; – when unknown."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return MISSING
    if not math.isfinite(seconds) or seconds < 0:
        return MISSING
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def format_size(size_bytes: Any) -> str:
    """Bytes in decimal units, as files are given; – when unknown."""
    if isinstance(size_bytes, bool) or not isinstance(size_bytes, (int, float)):
        return MISSING
    value, units = float(size_bytes), ("B", "kB", "MB", "GB", "TB")
    for unit in units:
        if abs(value) < 1000 or unit == units[-1]:
            return f"{value:.3g} {unit}"
        value /= 1000
    return MISSING


# Evidence that a person is shown otherwise: as the next step, or as a file of its own.
FOR_PROGRAMS = frozenset({"next_step", "report"})


def format_gib(size_bytes: float) -> str:
    """Bytes in GiB, as limits of memory and disk are set."""
    return f"{size_bytes / GIB:.1f} GiB"


def counted(count: int, noun: str, verb: tuple[str, str] | None = None) -> str:
    """1 file, 2 files; with ``verb`` (singular, plural) 1 file is, 2 files are."""
    is_one = count == 1
    said = f"{count:,} {noun}" if is_one else f"{count:,} {noun}s"
    return f"{said} {verb[0] if is_one else verb[1]}" if verb else said
