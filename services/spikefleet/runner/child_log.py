"""The child's log, kept within bounds while the child writes it.

A sorter that writes without end must fill neither its node's disk nor the store. The head says how
it began and the tail how it ends, so the middle is what goes; a line in its place says how much.
The file stays the same one, since the child holds it open for appending.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

_log = logging.getLogger(__name__)

MOST_BYTES = 64 << 20  #: a log that is longer is cut
HEAD_BYTES = 4 << 20  #: of its beginning that stay
TAIL_BYTES = 16 << 20  #: of its end that stay


class BoundedLog:
    """Cuts the file at ``path`` when it has grown too long. Never raises."""

    def __init__(
        self,
        path: Path,
        *,
        most_bytes: int = MOST_BYTES,
        head_bytes: int = HEAD_BYTES,
        tail_bytes: int = TAIL_BYTES,
    ) -> None:
        self._path = path
        self._most, self._head, self._tail = most_bytes, head_bytes, tail_bytes
        self._note = b""
        self.left_out = 0  #: bytes that the log has lost

    def keep(self) -> bool:
        """Cut the log if it is too long. What is written to it at this very moment may go too."""
        try:
            if self._path.stat().st_size <= self._most:
                return False
            return self._cut()
        except OSError as error:
            _log.warning("child_log.not_cut", extra={"error": str(error)})
            return False

    def _cut(self) -> bool:
        flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        handle = os.open(self._path, flags)
        try:
            size = os.fstat(handle).st_size
            tail = os.pread(handle, self._tail, size - self._tail)
            self.left_out += size - self._head - len(self._note) - len(tail)
            self._note = (
                f"\n[spikefleet: {self.left_out} bytes of the log were left out here; "
                f"it had grown beyond {self._most} bytes]\n"
            ).encode()
            os.ftruncate(handle, self._head)
            rest = memoryview(self._note + tail)
            while rest:
                rest = rest[os.write(handle, rest) :]
        finally:
            os.close(handle)
        _log.warning("child_log.cut", extra={"left_out_bytes": self.left_out})
        return True
