"""How many openings a room's process may have at once, by the memory it was given.

Six openings of four gigabytes in a container of ten would end as the kernel's choice of what to
kill, the room itself included. Decides the number and, where there is less than one opening wants,
how much one gets.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from spikefleet.core.guards.sources import MemorySample

log = logging.getLogger(__name__)

KEPT_BYTES = 512 << 20  #: beside openings: calls, page cache, the process they are forked from
LEAST_BYTES = 512 << 20  #: no opening gets less; what needs more ends with words, not the kernel
_ANY = 1_000  # openings at once where nothing is known


@dataclass(frozen=True)
class OpeningRoom:
    """Openings at once of one process, all kinds together, and memory for each in bytes."""

    at_once: int
    memory_bytes: int


def room_for_openings(sample: MemorySample | None, wanted_bytes: int) -> OpeningRoom:
    """Return what fits into what the tightest limit leaves free now.

    ``sample`` is the process's memory against its container's limit or the machine's, None where
    nothing can be read. ``wanted_bytes`` is the memory that one opening may use.
    """
    if sample is None:
        return OpeningRoom(_ANY, wanted_bytes)
    free = int(sample.limit_bytes - sample.held_bytes) - KEPT_BYTES
    memory_bytes = min(wanted_bytes, max(free, LEAST_BYTES))
    room = OpeningRoom(max(1, free // memory_bytes), memory_bytes)
    if memory_bytes < wanted_bytes:
        told = {"memory_bytes": memory_bytes, "wanted_bytes": wanted_bytes, "free_bytes": free}
        log.warning("openings.get_less_memory", extra=told)
    log.info("openings.room", extra={"at_once": room.at_once, "memory_bytes": memory_bytes})
    return room
