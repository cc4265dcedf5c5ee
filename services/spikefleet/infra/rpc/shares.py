"""How many calls one caller may have open at once, so that no caller occupies the whole server.

A stream counts as long as it is open. Rooms and runners, whose calls the service itself causes,
are not counted. Counts in memory, on one event loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from spikefleet.infra.rpc.errors import RpcProblem

MOST_CALLS = 512


class CallShares:
    """Counts the open calls of each caller; ``most`` of them may be one's."""

    def __init__(self, most: int = MOST_CALLS) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    @contextmanager
    def one_call(self, owner: str) -> Iterator[None]:
        """Count a call of ``owner`` for the length of a ``with`` block.

        Raises RpcProblem SERVICE_BUSY when he has ``most`` open already.
        """
        if self._open[owner] >= self._most:
            raise RpcProblem(
                "SERVICE_BUSY", f"This user has {self._most} calls open at once; more are refused."
            )
        self._open[owner] += 1
        try:
            yield
        finally:
            self._open[owner] -= 1
            if not self._open[owner]:
                del self._open[owner]
