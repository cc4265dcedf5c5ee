"""Genuine recordings with one thing changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.hostile.genuine import GENUINE
from tests.support.hostile.traps import Trap, Writer


def changed(layout: str, change: Callable[[Path, Trap], Any]) -> Writer:
    """Return who writes a genuine recording of ``layout`` and lets ``change`` at it."""

    def write(trap: Trap) -> Path:
        path = GENUINE[layout](trap.folder)
        change(path, trap)
        return path

    return write
