"""What the end of a confined process means: whose failure it is when no answer came.

A defect of ours is internal and keeps its trace. Only what a foreign reader did with a recording
(a crash, endless work, endless memory) is put down to the recording.
"""

from __future__ import annotations

from spikefleet.core.failures.errors import (
    EnvironmentSortFailure,
    InputCorruptError,
    InputMissingError,
    SpikeSortingClassifiedError,
    UnclassifiedSortFailure,
)
from spikefleet.core.failures.reading.exception_chain import from_text
from spikefleet.core.failures.reading.fingerprint import fingerprint
from spikefleet.infra.system.openings import (
    Limits,
    NotConfinedError,
    OpeningCrashedError,
    OpeningError,
    OpeningTooLargeError,
    OpeningTooLongError,
)

_GB = 1e9
_TRACE_LINES = 40
_TEXT_KEPT = 500


def blame_recording(error: OpeningError, limits: Limits) -> SpikeSortingClassifiedError:
    """Return the failure of a recording whose opening ended without an answer."""
    match error:
        case OpeningTooLargeError():
            return InputCorruptError(
                f"Opening this recording needed more than {limits.memory_bytes / _GB:.1f} GB of "
                "memory, so it was stopped. Its header may ask for far more than the file holds; "
                "an operator can allow more (serve --opening-memory-bytes).",
                reason="reader_memory",
            )
        case OpeningTooLongError(used_cpu=True):
            return InputCorruptError(
                f"Reading this recording was not done after {limits.cpu_s} s of processor time, "
                "so it was stopped. Check what its header says of its size.",
                reason="reader_time",
            )
        case OpeningTooLongError():
            return InputMissingError(
                f"The recording's files gave no answer for {limits.wall_s:.0f} s. "
                "Check that the mount they are on answers, then submit again.",
            )
        case OpeningCrashedError():
            return InputCorruptError(
                "The library that reads this format crashed on this recording "
                f"({str(error).partition(' ')[2]}). Compare it with the copy on the rig, or "
                "convert it to another format.",
                reason="reader_crashed",
            )
        case _:
            return own_failure(error)


def own_failure(error: OpeningError) -> SpikeSortingClassifiedError:
    """Return the failure of a step on our own files that ended without an answer."""
    if isinstance(error, NotConfinedError):
        return EnvironmentSortFailure(
            f"This machine does not let a reader be confined, so nothing was opened: {error}. "
            "Run: spikefleet doctor",
            reason="not_confined",
        )
    raised = next(iter(from_text(error.words)), None)
    place = raised.frames[-1] if raised and raised.frames else None
    what = f"{raised.type_name} in {place}" if raised else str(error)
    return UnclassifiedSortFailure(
        f"A step of the service failed: {what}. Send the trace to the developers.",
        exception_type=raised.type_name if raised else type(error).__name__,
        exception_message=raised.message[:_TEXT_KEPT] if raised else None,
        frame=place,
        fingerprint=fingerprint(raised.type_name, raised.frames, raised.message)
        if raised
        else None,
        reason=str(error)[:300],
        trace_tail=error.words.splitlines()[-_TRACE_LINES:],
    )
