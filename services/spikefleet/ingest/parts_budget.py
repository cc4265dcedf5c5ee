"""How many bytes of parts may be on their way at once: in all, and of one user.

A part is in memory until its digest is known, so a sender who is slow, or many at once, must not
fill the service's.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from spikefleet.infra.rpc.errors import RpcProblem

_LOOK_S = 0.05


class PartsBudget:
    """Bytes that parts may take. Used on one event loop."""

    def __init__(
        self,
        *,
        total_bytes: int = 1 << 30,
        owner_bytes: int = 1 << 29,
        patience_s: float = 30.0,
    ) -> None:
        self._total_bytes, self._owner_bytes = total_bytes, owner_bytes
        self._patience_s = patience_s
        self._held: Counter[str] = Counter()

    @asynccontextmanager
    async def holding(self, owner: str, size_bytes: int) -> AsyncIterator[None]:
        """Have room for a part for the length of a ``with`` block; wait for it if need be.

        Raises RpcProblem SERVICE_BUSY after ``patience_s``.
        """
        until_s = time.monotonic() + self._patience_s
        while not self._fits(owner, size_bytes):
            if time.monotonic() > until_s:
                raise RpcProblem("SERVICE_BUSY", "Too many parts are on their way at once.")
            await asyncio.sleep(_LOOK_S)
        self._held[owner] += size_bytes
        try:
            yield
        finally:
            self._held[owner] -= size_bytes

    def _fits(self, owner: str, size_bytes: int) -> bool:
        """One part fits always, however large, so that nobody waits for ever."""
        mine, all_bytes = self._held[owner], self._held.total()
        fits_mine = not mine or mine + size_bytes <= self._owner_bytes
        return fits_mine and (not all_bytes or all_bytes + size_bytes <= self._total_bytes)
