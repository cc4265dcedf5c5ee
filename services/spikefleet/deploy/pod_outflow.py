"""Bytes on their way to an output whose reader may have stopped reading.

Who writes to a pipe that is full waits for its reader, for ever where the node's runtime hangs. A
sort must not: what it says goes through a thread of its own, and what finds no room is left out.
"""

from __future__ import annotations

import io
import threading
import time
from typing import BinaryIO

_MOST_BYTES = 8 << 20
_LOOK_S = 0.01


class Outflow:
    """Writes to ``out`` from a thread of its own; holds at most ``most_bytes``."""

    def __init__(self, out: BinaryIO, *, most_bytes: int = _MOST_BYTES) -> None:
        self._out, self._most_bytes = out, most_bytes
        self._pieces: list[bytes] = []
        self._held = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._write, name="outflow", daemon=True).start()

    @property
    def room(self) -> int:
        """Bytes it would take now."""
        return self._most_bytes - self._held

    def offer(self, data: bytes) -> bool:
        """Take ``data`` to be written. False, and nothing taken, when there is no room for it."""
        with self._changed:
            if len(data) > self.room:
                return False
            self._pieces.append(data)
            self._held += len(data)
            self._changed.notify()
        return True

    def drain(self, within_s: float) -> bool:
        """Wait until all is written, so long at most. Returns whether it is."""
        deadline_s = time.monotonic() + within_s
        while self._held and time.monotonic() < deadline_s:
            time.sleep(_LOOK_S)
        return not self._held

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._pieces))
                data = self._pieces.pop(0)
            try:
                self._out.write(data)
                self._out.flush()
            except (OSError, ValueError):
                pass  # nobody reads any more: it is closed
            with self._changed:
                self._held -= len(data)


class LogOutflow(io.TextIOBase):
    """A text stream for log records over an outflow; what finds no room is counted, then told."""

    def __init__(self, outflow: Outflow) -> None:
        super().__init__()
        self._outflow = outflow
        self._left_out = 0

    def write(self, text: str, /) -> int:
        """Pass text on, or leave it out."""
        told = f'{{"event": "logs.left_out", "records": {self._left_out}}}\n'
        if self._left_out and self._outflow.offer(told.encode()):
            self._left_out = 0
        if not self._outflow.offer(text.encode("utf-8", "backslashreplace")):
            self._left_out += 1
        return len(text)
