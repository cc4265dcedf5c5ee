"""How many files and connections this process may hold open, and how one of so many is waited for.

Shells give 1024 by default, for programs that cannot count further; a thousand idle connections,
which any user of the machine can make, would take all of them from the service.
"""

from __future__ import annotations

import resource
import select


def allow_open_files() -> int:
    """Raise the soft limit to the hard one, for this process and those it starts; return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def is_readable(descriptor: int, timeout_s: float | None) -> bool:
    """Wait until a descriptor has something to read, or an end to tell; None: without limit.

    Not ``select.select``, which refuses every descriptor above 1023.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1e3))
