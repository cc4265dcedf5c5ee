"""The controller's epoch: a number in the database that grows each time a controller takes over.

A controller that was replaced without noticing (its process slept, its network was cut) still has
the number it took; every write compares it in its own transaction and changes nothing when another
has taken over. It does not choose who may take over: a lease of the cluster or the claim of the
data folder does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from sqlalchemy import Connection, select

from spikefleet.infra.stores.sql.tables import CONTROLLER_EPOCH

_ONLY = 1  # the table has one row
_CURRENT = select(CONTROLLER_EPOCH.c.epoch, CONTROLLER_EPOCH.c.holder).where(
    CONTROLLER_EPOCH.c.id == _ONLY
)


class StaleControllerError(RuntimeError):
    """Another controller has taken over, or may; nothing was written. This process has to end."""

    refusal: ClassVar[str] = "CONTROLLER_REPLACED"


@dataclass(frozen=True)
class Epoch:
    """Who controls since when. ``number`` 0: nobody has ever taken it."""

    number: int
    holder: str


def read_epoch(connection: Connection) -> Epoch:
    """The epoch as it stands."""
    row = connection.execute(_CURRENT).one_or_none()
    return Epoch(0, "") if row is None else Epoch(row.epoch, row.holder)


def bump_epoch(connection: Connection, holder: str, now: datetime) -> int:
    """Begin the next epoch for ``holder`` and return its number. Only inside a write."""
    number = read_epoch(connection).number + 1
    values = {"epoch": number, "holder": holder, "taken_at": now}
    if number == 1:
        connection.execute(CONTROLLER_EPOCH.insert().values(id=_ONLY, **values))
    else:
        connection.execute(
            CONTROLLER_EPOCH.update().where(CONTROLLER_EPOCH.c.id == _ONLY).values(**values)
        )
    return number


def check_epoch(connection: Connection, held: int) -> None:
    """Raises StaleControllerError where a later epoch has begun."""
    current = read_epoch(connection)
    if current.number != held:
        raise StaleControllerError(
            f"controller epoch {current.number} belongs to {current.holder}, this process holds "
            f"{held}: nothing was written; it must end, and start again to take over"
        )
