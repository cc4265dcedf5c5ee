"""How many files and connections this process may hold open: as many as the machine lets it.

Shells give 1024 by default, for programs that cannot count further; a thousand idle connections,
which any user of the machine can make, would take all of them from the service.
"""

from __future__ import annotations

import resource


def allow_open_files() -> int:
    """Raise the soft limit to the hard one, for this process and those it starts; return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
