"""A part of a log that comes as a stream: read to its end, held only as far as it is wanted."""

from __future__ import annotations

from collections.abc import Iterable

from spikefleet.core.runs import LogPart


def read_part(chunks: Iterable[bytes], offset: int, most_bytes: int) -> LogPart:
    """Return ``most_bytes`` from ``offset`` on; a negative one counts from the end.

    Of a log of any length no more is held than twice what is wanted and one chunk.
    """
    wanted = -offset if offset < 0 else most_bytes
    window = bytearray()
    first, size = 0, 0  # where the window begins, and what has come
    for chunk in chunks:
        size += len(chunk)
        if offset < 0:
            window += chunk
            surplus = len(window) - wanted
            if surplus > wanted:
                del window[:surplus]
                first += surplus
        elif len(window) < wanted and size > offset:
            start = max(0, offset - (size - len(chunk)))
            window += chunk[start : start + wanted - len(window)]
    start = LogPart.start_of(offset, size)
    if offset < 0:
        window = window[start - first :]
    return LogPart(bytes(window[:most_bytes]), start, size)
