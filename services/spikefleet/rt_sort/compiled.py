"""Compiling of this package's loops: cached where the installation can be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a loop; it lets other threads run. Arithmetic keeps its order, so results repeat."""
    options = {"nogil": True, "error_model": "numpy"}
    try:
        made = njit(cache=True, **options)(function)
    except RuntimeError:  # a read-only installation with no home: compiled again in each process
        made = njit(**options)(function)
    return made  # type: ignore[no-any-return]
