"""Reading runs: lists, pages, attempts, history, holds. Changes nothing.

``RunReader`` is the half of the run store that a room may have when it must not write.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection

from sqlalchemy import ColumnElement, Connection, bindparam, func, or_, select

from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.ids import BatchId, RunId
from spikefleet.core.runs import Attempt, Hold, Run, RunEvent, RunState
from spikefleet.infra.stores.sql.bell import ChangeBell
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.run_counts import EndCount, LiveCount, count_ends, count_live
from spikefleet.infra.stores.sql.run_queue import RunQueue
from spikefleet.infra.stores.sql.run_rows import (
    SUMMARIES,
    make_attempt,
    make_event,
    make_listed_run,
    read_attempts,
    read_run,
)
from spikefleet.infra.stores.sql.run_values import (
    BadCursorError,
    BatchNotFoundError,
    BatchRecord,
)
from spikefleet.infra.stores.sql.tables import (
    ATTEMPT,
    BATCH,
    BATCH_RUN,
    EVENT,
    HOLD,
    RUN,
    in_portions,
)

_SUMMARIES_OF_BATCH = SUMMARIES.where(
    RUN.c.run_id.in_(
        select(BATCH_RUN.c.run_id).where(BATCH_RUN.c.batch_id == bindparam("batch")).distinct()
    )
)

_HELD_IN_LANE = (
    select(func.count())
    .select_from(RUN)
    .where(RUN.c.lane == HOLD.c.lane, RUN.c.state == str(RunState.HELD))
    .scalar_subquery()
)
_HOLDS = select(HOLD, _HELD_IN_LANE.label("waiting")).order_by(HOLD.c.created_at, HOLD.c.lane)


class RunReader(RunQueue):
    """Queries over runs. Every call is one consistent view of the database."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._bell = ChangeBell()

    def get_run(self, run_id: RunId) -> Run:
        """Return one run. Raises RunNotFoundError."""
        with self._database.read() as connection:
            return read_run(connection, run_id)

    def summaries_of(self, batch: BatchRecord) -> list[Run]:
        """Return a batch's runs without their configurations, in its order, in one read."""
        asked = {"batch": batch.batch_id}
        with self._database.read() as connection:
            rows = connection.execute(_SUMMARIES_OF_BATCH, asked)
            found = {row.run_id: make_listed_run(row) for row in rows}
        return [found[run_id] for run_id in batch.run_ids]

    def restartable(self, run_ids: Collection[RunId]) -> list[RunId]:
        """Return those of these runs that were cancelled, or that their input ended, in order."""
        is_so = or_(
            RUN.c.state == str(RunState.CANCELLED), RUN.c.status == str(RunStatus.INPUT_ERROR)
        )
        query = select(RUN.c.run_id).where(is_so)
        with self._database.read() as connection:
            found = {
                row.run_id
                for portion in in_portions(run_ids)
                for row in connection.execute(query.where(RUN.c.run_id.in_(portion)))
            }
        return [run_id for run_id in run_ids if run_id in found]

    def get_batch(self, batch_id: BatchId) -> BatchRecord:
        """Return one batch. Raises BatchNotFoundError."""
        with self._database.read() as connection:
            return read_batch(connection, batch_id)

    def list_runs(
        self,
        states: Collection[RunState] = (),
        batch_id: BatchId | None = None,
        limit: int = 50,
        before: str = "",
    ) -> tuple[list[Run], str]:
        """Return a page of runs, newest first, and the cursor of the next page ("" at the end).

        Without their configurations: ``get_run`` tells one. ``states`` empty means all. Raises
        BadCursorError for a cursor not given out here, BatchNotFoundError for a batch nobody knows.
        """
        if limit < 1:
            raise ValueError(f"a page of {limit} runs holds nothing; ask for at least one")
        query = SUMMARIES.order_by(RUN.c.serial.desc()).limit(limit + 1)
        if states:
            query = query.where(RUN.c.state.in_([str(state) for state in states]))
        if batch_id:
            query = query.where(RUN.c.run_id.in_(_runs_of(batch_id)))
        if before:
            query = query.where(RUN.c.serial < _read_cursor(before))
        with self._database.read() as connection:
            if batch_id:
                read_batch(connection, batch_id)
            rows = connection.execute(query).all()
        more = len(rows) > limit
        cursor = _make_cursor(rows[limit - 1].serial) if more else ""
        return [make_listed_run(row) for row in rows[:limit]], cursor

    def counts_by_state(self) -> dict[RunState, int]:
        """Return how many runs stand in each state, zeros included."""
        query = select(RUN.c.state, func.count().label("runs")).group_by(RUN.c.state)
        with self._database.read() as connection:
            found = {str(row.state): int(row.runs) for row in connection.execute(query)}
        return {state: found.get(str(state), 0) for state in RunState}

    def end_counts(self) -> list[EndCount]:
        """Return how often attempts and runs ended so, over the whole history."""
        with self._database.read() as connection:
            return count_ends(connection)

    def live_counts(self) -> list[LiveCount]:
        """Return how many attempts are under way, by backend, stage and phase."""
        with self._database.read() as connection:
            return count_live(connection)

    def attempts_of(self, run_id: RunId) -> list[Attempt]:
        """Return a run's attempts in the order they were intended."""
        with self._database.read() as connection:
            return read_attempts(connection, run_id)

    def find_attempt(self, name: str) -> Attempt | None:
        """Return the attempt that was given this name; None when there never was one."""
        query = select(ATTEMPT).where(ATTEMPT.c.name == name)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else make_attempt(row)

    def events(
        self, run_id: RunId | None = None, after_seq: int = 0, limit: int = 10_000
    ) -> list[RunEvent]:
        """Return events after ``after_seq`` in order; of every run when ``run_id`` is None."""
        query = select(EVENT).where(EVENT.c.seq > after_seq).order_by(EVENT.c.seq).limit(limit)
        if run_id:
            query = query.where(EVENT.c.run_id == run_id)
        with self._database.read() as connection:
            return [make_event(row) for row in connection.execute(query)]

    def last_seq(self) -> int:
        """Return the number of the newest event; 0 before the first."""
        with self._database.read() as connection:
            return int(connection.execute(select(func.max(EVENT.c.seq))).scalar() or 0)

    def holds(self) -> list[Hold]:
        """Return every lane on hold, the oldest hold first."""
        with self._database.read() as connection:
            return [
                Hold(row.lane, row.reason, row.waiting, row.created_at, row.run_id)
                for row in connection.execute(_HOLDS)
            ]

    def is_held(self, lane: str) -> bool:
        """Say whether a lane is on hold."""
        with self._database.read() as connection:
            return (
                connection.execute(select(HOLD.c.lane).where(HOLD.c.lane == lane)).first()
                is not None
            )

    def on_change(self, listener: Callable[[], None], run_id: str = "") -> Callable[[], None]:
        """Call ``listener`` after every change of a run (of any run) made through this object.

        Called on the writer's thread: hand over to an event loop with ``call_soon_threadsafe``.
        Changes by other processes are not seen. Returns the function that ends it.
        """
        return self._bell.listen(listener, run_id)


def read_batch(connection: Connection, batch_id: BatchId) -> BatchRecord:
    """Return a batch with its runs in submission order. Raises BatchNotFoundError."""
    row = connection.execute(select(BATCH).where(BATCH.c.batch_id == batch_id)).one_or_none()
    if row is None:
        raise BatchNotFoundError(f"There is no batch {batch_id!r}.")
    links = connection.execute(
        select(BATCH_RUN).where(BATCH_RUN.c.batch_id == batch_id).order_by(BATCH_RUN.c.position)
    ).all()
    return BatchRecord(
        batch_id=row.batch_id,
        run_ids=tuple(link.run_id for link in links),
        existing_run_ids=tuple(dict.fromkeys(link.run_id for link in links if link.existed)),
        submitter=row.submitter,
        label=row.label,
        created_at=row.created_at,
    )


def _runs_of(batch_id: BatchId) -> ColumnElement[str]:
    return select(BATCH_RUN.c.run_id).where(BATCH_RUN.c.batch_id == batch_id).scalar_subquery()


def _make_cursor(serial: int) -> str:
    return base64.urlsafe_b64encode(f"run:{serial}".encode()).decode()


def _read_cursor(cursor: str) -> int:
    try:
        kind, _, serial = base64.urlsafe_b64decode(cursor.encode()).decode().partition(":")
        if kind != "run":
            raise ValueError(kind)
        return int(serial)
    except (ValueError, binascii.Error) as error:
        raise BadCursorError(f"{cursor!r} is not a page token of this list") from error
