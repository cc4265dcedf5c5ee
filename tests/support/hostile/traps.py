"""What hostile files are made of: a mark that code would leave, bombs, and changes of documents."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

DEEP = "[" * 200_000
"""JSON nested further than any parser follows."""
LONG_BYTES = 100 << 20


@dataclass(frozen=True)
class Trap:
    """Where a hostile file is written, and what lies outside it.

    ``outside`` holds a secret and is where a mark would appear; nothing may be read or made there.
    """

    folder: Path
    outside: Path

    @property
    def secret(self) -> Path:
        return self.outside / "secret"

    @property
    def mark(self) -> Path:
        return self.outside / "mark"


Writer = Callable[[Trap], Path]


class _Marker:
    """Makes the mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self._mark), "w")


def pickled(trap: Trap) -> bytes:
    """A pickle that leaves a mark."""
    return pickle.dumps(_Marker(trap.mark))


def save_pickled(file: Path, trap: Trap, size: int = 4) -> None:
    """Write a ``.npy`` of objects that leave a mark when they are loaded."""
    values = np.empty(size, dtype=object)
    values[:] = [_Marker(trap.mark) for _ in range(size)]
    np.save(file, values, allow_pickle=True)


def change_json(file: Path, change: Callable[[Any], Any]) -> None:
    """Rewrite a JSON file by what ``change`` does to it, or returns."""
    document = json.loads(file.read_text(encoding="utf-8"))
    changed = change(document)
    file.write_text(json.dumps(document if changed is None else changed), encoding="utf-8")


def make_long(file: Path) -> None:
    """Make a file of many bytes that takes no room."""
    file.write_bytes(b"{")
    with file.open("r+b") as out:
        out.truncate(LONG_BYTES)


def lead_out(file: Path, trap: Trap) -> None:
    """Put a link to the secret in a file's place."""
    file.unlink(missing_ok=True)
    file.symlink_to(trap.secret)
