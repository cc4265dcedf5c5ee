"""Leases of runs: which process may write a run's sort, and until when.

The fencing token is the attempt's number, which only grows. One attempt has one holder for ever: a
second process of the same attempt is refused even after the lease has ended, because both would
write under one prefix. Time is the database's own, so that two clocks are never compared. An
expired lease ends nothing by itself; it only allows a take-over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Row, bindparam, func, select

from spikefleet.core.attempts import Stage
from spikefleet.core.ids import AttemptId, RunId
from spikefleet.core.runs import Attempt, LeaseAnswer, LeaseRefusal
from spikefleet.infra.stores.sql.database import Clock
from spikefleet.infra.stores.sql.run_rows import LIVE, EventLine, write_event
from spikefleet.infra.stores.sql.tables import RUN_LEASE

LEASE_S = 60.0
_LEASE = select(RUN_LEASE).where(RUN_LEASE.c.run_id == bindparam("run"))


@dataclass(frozen=True)
class LeaseTerms:
    """How long a lease lasts after each sign of life, and by which clock (None: the database's)."""

    duration_s: float = LEASE_S
    clock: Clock | None = None

    def now(self, connection: Connection) -> datetime:
        """The time leases are judged by, aware UTC."""
        return self.clock() if self.clock is not None else database_now(connection)


@dataclass(frozen=True)
class Lease:
    """A run's lease as it stands. ``left_s`` is 0 once it was given back or has run out."""

    run_id: RunId
    attempt_id: AttemptId
    token: int
    holder: str
    released: bool
    expires_at: datetime
    left_s: float


def database_now(connection: Connection) -> datetime:
    """The database's own time. Not the transaction's: a writer may have waited for its turn."""
    if connection.dialect.name == "postgresql":
        found: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return found.astimezone(UTC)
    text: str = connection.execute(select(func.strftime("%Y-%m-%d %H:%M:%f", "now"))).scalar_one()
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def read_lease(connection: Connection, run_id: RunId, terms: LeaseTerms) -> Lease | None:
    """Return the run's lease; None when no attempt has ever taken it."""
    row = _row(connection, run_id)
    if row is None:
        return None
    left_s = (row.expires_at - terms.now(connection)).total_seconds()
    return Lease(
        row.run_id,
        row.attempt_id,
        row.token,
        row.holder,
        row.released,
        row.expires_at,
        0.0 if row.released else max(0.0, left_s),
    )


def take_lease(
    connection: Connection, attempt: Attempt, holder: str, terms: LeaseTerms
) -> LeaseAnswer:
    """Take the run's lease for a process of ``attempt``, or renew it; say why not otherwise.

    A lease that ran out without being given back is reclaimed (event ``lease.reclaimed``).
    """
    now = terms.now(connection)
    row = _row(connection, attempt.run_id)
    refusal = _refusal(row, attempt, holder, now)
    if refusal is not None:
        return _answer(row, now, refusal)
    if row is not None and row.token < attempt.number and not row.released:
        body = {
            "token": attempt.number,
            "holder": holder,
            "old_token": row.token,
            "old_holder": row.holder,
            "old_attempt_id": row.attempt_id,
            "expired_at": row.expires_at.isoformat(),
        }
        write_event(connection, EventLine(attempt.run_id, "lease.reclaimed", body), now)
    values = {
        "attempt_id": attempt.attempt_id,
        "token": attempt.number,
        "holder": holder,
        "released": False,
        "expires_at": now + timedelta(seconds=terms.duration_s),
    }
    if row is None:
        connection.execute(RUN_LEASE.insert().values(run_id=attempt.run_id, taken_at=now, **values))
    else:
        is_mine = row.token == attempt.number
        connection.execute(
            RUN_LEASE.update()
            .where(RUN_LEASE.c.run_id == attempt.run_id)
            .values(taken_at=row.taken_at if is_mine else now, **values)
        )
    return LeaseAnswer(None, holder, attempt.number, terms.duration_s)


def renew_lease(connection: Connection, attempt: Attempt, terms: LeaseTerms) -> None:
    """Lengthen the lease of an attempt whose heartbeat was read; of any other, do nothing."""
    connection.execute(
        RUN_LEASE.update()
        .where(
            RUN_LEASE.c.run_id == attempt.run_id,
            RUN_LEASE.c.attempt_id == attempt.attempt_id,
            RUN_LEASE.c.released.is_(False),
        )
        .values(expires_at=terms.now(connection) + timedelta(seconds=terms.duration_s))
    )


def release_lease(connection: Connection, attempt: Attempt) -> None:
    """Give the lease back: its holder is known to have ended. Its token stays on record."""
    connection.execute(
        RUN_LEASE.update()
        .where(RUN_LEASE.c.run_id == attempt.run_id, RUN_LEASE.c.attempt_id == attempt.attempt_id)
        .values(released=True)
    )


def _refusal(
    row: Row[tuple[object, ...]] | None, attempt: Attempt, holder: str, now: datetime
) -> LeaseRefusal | None:
    if row is not None and row.token > attempt.number:
        return LeaseRefusal.SUPERSEDED
    if row is not None and row.token == attempt.number and row.holder != holder:
        return LeaseRefusal.OTHER_PROCESS
    if attempt.stage is not Stage.SORT or str(attempt.state) not in LIVE:
        return LeaseRefusal.ENDED
    if row is not None and row.token < attempt.number and not row.released:
        return LeaseRefusal.HELD if now < row.expires_at else None
    return None


def _answer(
    row: Row[tuple[object, ...]] | None, now: datetime, refusal: LeaseRefusal
) -> LeaseAnswer:
    if row is None:
        return LeaseAnswer(refusal)
    left_s = 0.0 if row.released else max(0.0, (row.expires_at - now).total_seconds())
    return LeaseAnswer(refusal, row.holder, row.token, left_s)


def _row(connection: Connection, run_id: RunId) -> Row[tuple[object, ...]] | None:
    return connection.execute(_LEASE, {"run": run_id}).one_or_none()
