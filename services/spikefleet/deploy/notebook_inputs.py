"""What a person gives a notebook's verbs to sort: paths, and recordings that are open already.

A recording object is saved as SpikeInterface saves it, because the sort runs in another process.
What is neither becomes a refusal with its place in the list, and stops none of the others.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NOT_SAVED = (OSError, ValueError, LookupError, TypeError, RuntimeError, AssertionError)
_NEXT_STEP = "Give the path of a recording, or a recording object of SpikeInterface."


@dataclass(frozen=True)
class RefusedInput:
    """One input that cannot be sorted, and why."""

    name: str
    message: str
    next_step: str = _NEXT_STEP


def list_inputs(given: Any, folder: Path) -> list[Path | RefusedInput]:
    """Return the path of every input, in order; recording objects are saved below ``folder``."""
    if isinstance(given, (str, os.PathLike)) or _is_recording(given) or given is None:
        entries: Sequence[Any] = [given]
    else:
        try:
            entries = list(given)
        except TypeError:
            entries = [given]
    return [_path_of(entry, number, folder) for number, entry in enumerate(entries, start=1)]


def _is_recording(entry: Any) -> bool:
    """A recording of SpikeInterface, told by its verbs: a client need not have the library."""
    return callable(getattr(entry, "get_traces", None)) and callable(getattr(entry, "save", None))


def _path_of(entry: Any, number: int, folder: Path) -> Path | RefusedInput:
    if isinstance(entry, str) and not entry.strip():
        return RefusedInput(f"input {number}", f"Input {number} is an empty path.")
    if isinstance(entry, (str, os.PathLike)):
        return Path(os.fsdecode(entry))
    if not _is_recording(entry):
        kind = "None" if entry is None else f"a {type(entry).__name__}"
        return RefusedInput(f"input {number}", f"Input {number} is {kind}, not a recording.")
    place = folder / f"recording-{number:03d}"
    shutil.rmtree(place, ignore_errors=True)
    try:
        entry.save(folder=place, format="binary", verbose=False)
    except _NOT_SAVED as error:
        shutil.rmtree(place, ignore_errors=True)
        return RefusedInput(
            place.name,
            f"Input {number} could not be saved: {type(error).__name__}: {str(error)[:300]}",
            "Save it yourself with recording.save(folder=...), and give that folder.",
        )
    return place
