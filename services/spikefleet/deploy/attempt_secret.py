"""The secret by which a runner shows that it is the attempt it says it is."""

from __future__ import annotations

import os
import stat

_LONGEST_SECRET_BYTES = 256


def read_attempt_secret(descriptor: int = 0) -> str:
    """The line that the launcher wrote to a runner's standard input; "" where it is no pipe.

    Not a variable of the environment: ``/proc`` shows that to every process of the same user, the
    sorter's too. It is read once and leaves nothing behind.
    """
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return ""
    line = b""
    while not line.endswith(b"\n") and len(line) < _LONGEST_SECRET_BYTES:
        byte = os.read(descriptor, 1)
        if not byte:
            break
        line += byte
    return line.decode("ascii", errors="replace").strip()
