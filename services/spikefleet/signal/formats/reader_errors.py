"""The edge where foreign readers' exceptions become ours, and the one place that words a refusal.

Calls into h5py, neo, probeinterface, Zarr or SpikeInterface that touch a submitted file go through
``reading``. What a foreign library or the system raises there is the file's fault; what a line of
this package raises is ours, and travels on as it is: our bug is not the recording's fault. A header
field is therefore checked before it is used (``header_fields``), never tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType, TracebackType

import spikefleet
from spikefleet.core.failures.errors import (
    InputCorruptError,
    InputMissingError,
    SpikeSortingClassifiedError,
)

COMPARE = "Compare it with the copy on the rig."
_EXPORT = "Export the recording again from the acquisition system."
# What helps, by what is wrong: a second copy helps only where this one was damaged on its way.
_NEXT_STEPS = {
    "truncated": COMPARE,
    "unreadable": COMPARE,
    "empty": COMPARE,
    "digest_mismatch": COMPARE,
    "misaligned": COMPARE,
    "clock": "Export the recording again with sample numbers or with a rate instead of times.",
    "duplicate_channels": "Give each channel a name of its own, and export the recording again.",
    "duplicate_positions": "Correct the probe's map so that each contact has its own place.",
    "geometry": "Correct the probe's map, or put a probe.json (probeinterface's format) beside it.",
    "no_geometry": "Put a probe.json (probeinterface's format) beside it.",
    "sidecar": "Correct the sidecar; docs/formats.md lists its keys.",
    "field_potential": "Submit the broadband recording of these channels.",
    "transposed": "Write the data as time x channels, and export the file again.",
    "two_candidates": "Submit the one that is meant, by its own name.",
    "several_recordings": "Submit one of them by name.",
    "unknown_format": "Export it to one of these formats.",
    "units": "Export the signal in volts.",
    "wrong_dtype": "Correct the sample type in the header.",
    "wrong_channel_count": "Correct the channel count in the header.",
    "mixed_polarity": "Record all channels with one polarity, or submit them apart.",
    "not_continuous": "Record or export the continuous signal.",
    "unsupported_version": "Convert it with the vendor's tool to a newer version.",
    "still_written": "Wait until the program that writes it has closed it.",
    "filter": "Save it again with gzip or without compression (h5repack does it), or ask the "
    "operator to install that filter's plugin where HDF5_PLUGIN_PATH points, then submit it again.",
    "compressed": "Decompress it and submit the result.",
    "unsafe": "Submit a copy that holds plain files only, exported by the program that made it.",
    "absurd": "Export the recording again; a genuine file of this size cannot hold that much.",
    "changed": "Submit it again when nothing writes to it any more.",
}
_PACKAGE = str(Path(spikefleet.__file__).parent)
# The system's own complaints are about the file even where a line of ours asked.
_OF_THE_SYSTEM = (OSError, EOFError, UnicodeError)

# What readers say, and the reason it stands for.
_REASONS = {"truncated": "truncated", "positions must be unique": "duplicate_positions"}
_SHOWN_AS: ContextVar[Mapping[Path, str]] = ContextVar("shown_as", default=MappingProxyType({}))
_LOCKED = ("unable to lock file", "resource temporarily unavailable")


def corrupt(path: Path, reason: str, text: str, next_step: str = "") -> InputCorruptError:
    """Return the error of a file that is there but cannot be sorted as it is.

    ``next_step`` is what its owner can do; left out, what helps against this ``reason``.
    """
    step = next_step or _NEXT_STEPS.get(reason, _EXPORT)
    return InputCorruptError(
        f"{shown(path)}: {text} {step}", path=str(path), reason=reason, next_step=step
    )


def shown(path: Path) -> str:
    """Return the name that a message calls a recording's file or folder by."""
    return _SHOWN_AS.get().get(path, path.name)


@contextmanager
def shown_as(names: Mapping[Path, str]) -> Iterator[None]:
    """Call folders of our own (an upload's "files") by the names their owners gave them."""
    before = _SHOWN_AS.set({**_SHOWN_AS.get(), **names})
    try:
        yield
    finally:
        _SHOWN_AS.reset(before)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a foreign reader raises about ``path`` into a classified failure.

    What a line of this package raises (a TypeError, a KeyError, ...) is a bug of ours and passes.

    Raises:
        InputMissingError: a file the recording needs is not there.
        InputCorruptError: anything else a reader could not cope with (``truncated``,
            ``duplicate_positions``, ``still_written`` or ``unreadable``).
    """
    try:
        yield
    except (SpikeSortingClassifiedError, MemoryError):
        raise
    except FileNotFoundError as error:
        missing = error.filename or path
        raise InputMissingError(
            f"{missing} is not there. Check the path and the mount.", path=str(missing)
        ) from error
    except Exception as error:
        if is_ours(error):
            raise
        text = str(error).lower()
        if any(said in text for said in _LOCKED):
            raise corrupt(
                path, "still_written", "another program still holds it open for writing."
            ) from error
        reason = next((reason for said, reason in _REASONS.items() if said in text), "unreadable")
        detail = f"the file cannot be read ({type(error).__name__}: {str(error)[:200]})."
        raise corrupt(path, reason, detail) from error


def is_ours(error: BaseException) -> bool:
    """Say whether a line of this package raised, rather than a library or the system."""
    if isinstance(error, _OF_THE_SYSTEM):
        return False
    frame: TracebackType | None = error.__traceback__
    innermost = ""
    while frame is not None:
        innermost = frame.tb_frame.f_code.co_filename
        frame = frame.tb_next
    return innermost.startswith(_PACKAGE)


def reading_traces() -> AbstractContextManager[None]:
    """Return ``reading`` for samples of a recording already open, whose path is not at hand."""
    return reading(Path("the recording"))
