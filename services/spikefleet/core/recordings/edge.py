"""The edge where foreign readers' exceptions become ours.

Every call into h5py, neo, probeinterface or SpikeInterface that touches a submitted file goes
through ``reading``. It decides only the class; the reader below it says what was wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from spikefleet.core.failures.errors import (
    InputCorruptError,
    InputMissingError,
    SpikeSortingClassifiedError,
)

_UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    RuntimeError,
    EOFError,
    struct.error,
)

# What readers say, and the reason it stands for.
_REASONS = {"truncated": "truncated", "positions must be unique": "duplicate_positions"}


def corrupt(path: Path, reason: str, text: str) -> InputCorruptError:
    """Return the error of a file that is there but cannot be sorted as it is."""
    return InputCorruptError(
        f"{path.name}: {text} Compare it with the copy on the rig.", path=str(path), reason=reason
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a reader raises about ``path`` into a classified failure.

    Raises:
        InputMissingError: a file the recording needs is not there.
        InputCorruptError: anything else a reader could not cope with (``truncated``,
            ``duplicate_positions`` or ``unreadable``).
    """
    try:
        yield
    except SpikeSortingClassifiedError:
        raise
    except FileNotFoundError as error:
        missing = error.filename or path
        raise InputMissingError(
            f"{missing} is not there. Check the path and the mount.", path=str(missing)
        ) from error
    except _UNREADABLE as error:
        text = str(error).lower()
        reason = next((reason for said, reason in _REASONS.items() if said in text), "unreadable")
        detail = f"the file cannot be read ({type(error).__name__}: {str(error)[:200]})."
        raise corrupt(path, reason, detail) from error


def reading_traces() -> AbstractContextManager[None]:
    """Return ``reading`` for samples of a recording already open, whose path is not at hand."""
    return reading(Path("the recording"))
