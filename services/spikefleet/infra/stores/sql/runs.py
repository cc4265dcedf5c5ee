"""The run store: the one memory of batches, runs, attempts, events and holds.

Every change of state goes through the tables of legal moves and writes its event in the same
transaction; an illegal or stale change writes nothing. It decides nothing: the controller says what
follows, the store makes it durable or refuses.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from spikefleet.core.attempts import ATTEMPT_MOVES, AttemptState, Stage
from spikefleet.core.ids import AttemptId, RunId
from spikefleet.core.runs import (
    TERMINAL,
    Attempt,
    Heard,
    IllegalMoveError,
    LeaseAnswer,
    Run,
    RunState,
    attempt_name,
)
from spikefleet.infra.stores.sql.database import Clock, Database, utc_now
from spikefleet.infra.stores.sql.run_births import write_batch
from spikefleet.infra.stores.sql.run_leases import (
    Lease,
    LeaseTerms,
    read_lease,
    release_lease,
    renew_lease,
    take_lease,
)
from spikefleet.infra.stores.sql.run_reader import RunReader, read_batch
from spikefleet.infra.stores.sql.run_rows import (
    LIVE,
    RUNS,
    EventLine,
    make_run,
    read_attempt,
    read_attempts,
    read_live_attempts,
    read_run,
    write_columns,
    write_event,
    write_move,
)
from spikefleet.infra.stores.sql.run_values import (
    AttemptEnd,
    AttemptNotFoundError,
    BadCursorError,
    BatchNotFoundError,
    BatchRecord,
    NewBatch,
    NewRun,
    RunChanges,
    RunNotFoundError,
    StaleRunError,
)
from spikefleet.infra.stores.sql.tables import ATTEMPT, BATCH, HOLD, RUN, next_serial

__all__ = [
    "AttemptEnd",
    "AttemptNotFoundError",
    "BadCursorError",
    "BatchNotFoundError",
    "BatchRecord",
    "Lease",
    "LeaseTerms",
    "NewBatch",
    "NewRun",
    "RunChanges",
    "RunNotFoundError",
    "RunReader",
    "RunStore",
    "StaleRunError",
]


class RunStore(RunReader):
    """Reads and writes runs. ``clock`` gives the time of every change, aware UTC; ``terms`` is
    how long leases last and by which clock.

    Safe to share between threads. Writers take turns; several processes may use one database.
    """

    def __init__(
        self, database: Database, clock: Clock = utc_now, terms: LeaseTerms | None = None
    ) -> None:
        super().__init__(database)
        self._clock = clock
        self._terms = terms or LeaseTerms()

    def create_batch(self, new: NewBatch) -> BatchRecord:
        """Make a batch and those of its runs that do not exist yet (event ``run.created``).

        The same idempotency key returns the batch it made before, whatever else is asked. A run of
        another owner is joined while it may succeed or has; one that ended otherwise is his to
        start again, so that this owner gets a run of his own.
        """
        with self._change() as (connection, now):
            if new.idempotency_key:
                found = connection.execute(
                    select(BATCH.c.batch_id).where(BATCH.c.idempotency_key == new.idempotency_key)
                ).scalar_one_or_none()
                if found is not None:
                    return read_batch(connection, found)
            return write_batch(connection, new, now)

    def move_run(
        self,
        run: Run,
        to: RunState,
        *,
        kind: str,
        body: Mapping[str, Any] | None = None,
        changes: RunChanges | None = None,
    ) -> Run:
        """Move a run and write the event ``kind``; return the run as it is now.

        A run is RUNNING exactly while it has a live attempt: ``intend_attempt`` and
        ``finish_attempt`` alone begin and end that. Raises IllegalMoveError,
        StaleRunError (it changed since ``run`` was read), RunNotFoundError; nothing is written.
        """
        line = EventLine(run.run_id, kind, body or {}, str(run.state), str(to))
        with self._change(run.run_id) as (connection, now):
            moved = write_move(connection, run, line, changes or RunChanges(), now)
            if to is RunState.RUNNING:
                raise IllegalMoveError(f"run {run.run_id} runs by intend_attempt only")
            live = read_live_attempts(connection, run.run_id)
            if live:
                raise IllegalMoveError(
                    f"run {run.run_id} still has attempt {live[0].name} ({live[0].state}): "
                    "end it with finish_attempt"
                )
            return moved

    def intend_attempt(
        self,
        run: Run,
        stage: Stage,
        params: Mapping[str, Any] | None = None,
        *,
        at_least: int = 1,
    ) -> tuple[Run, Attempt]:
        """Write down that an attempt will be started, before anything is: run to RUNNING.

        The number is the stage's next, or ``at_least``; the name follows from it, so a launch that
        is repeated after a crash meets itself. Raises IllegalMoveError, StaleRunError.
        """
        with self._change(run.run_id) as (connection, now):
            last = connection.execute(
                select(func.max(ATTEMPT.c.number)).where(
                    ATTEMPT.c.run_id == run.run_id, ATTEMPT.c.stage == str(stage)
                )
            ).scalar()
            number = max((last or 0) + 1, at_least)
            name = attempt_name(run.run_id, stage, number)
            attempt_id = AttemptId(f"attempt-{uuid.uuid4().hex[:16]}")
            body = {
                "attempt_id": attempt_id,
                "name": name,
                "stage": str(stage),
                "number": number,
                "params": dict(params or {}),
            }
            line = EventLine(
                run.run_id, "attempt.intended", body, str(run.state), str(RunState.RUNNING)
            )
            moved = write_move(connection, run, line, RunChanges(stage=stage), now)
            connection.execute(
                ATTEMPT.insert().values(
                    attempt_id=attempt_id,
                    serial=next_serial(connection, ATTEMPT),
                    run_id=run.run_id,
                    stage=str(stage),
                    number=number,
                    name=name,
                    state=str(AttemptState.INTENDED),
                    params=params or {},
                    outcome={},
                    created_at=now,
                )
            )
            connection.execute(RUN.update().where(RUN.c.run_id == run.run_id).values(progress={}))
            return read_run(connection, moved.run_id), read_attempt(connection, attempt_id)

    def mark_running(self, attempt: Attempt) -> Attempt:
        """Write down that the attempt was seen running (event ``attempt.running``).

        Twice is a no-op. Raises IllegalMoveError when it has ended, AttemptNotFoundError.
        """
        with self._change(attempt.run_id) as (connection, now):
            current = read_attempt(connection, attempt.attempt_id)
            if current.state is AttemptState.RUNNING:
                return current
            _check_attempt_move(current, AttemptState.RUNNING)
            connection.execute(
                ATTEMPT.update()
                .where(ATTEMPT.c.attempt_id == attempt.attempt_id)
                .values(state=str(AttemptState.RUNNING))
            )
            body = {
                "attempt_id": current.attempt_id,
                "name": current.name,
                "stage": str(current.stage),
                "number": current.number,
            }
            write_event(connection, EventLine(current.run_id, "attempt.running", body), now)
            return read_attempt(connection, attempt.attempt_id)

    def finish_attempt(self, run: Run, attempt: Attempt, end: AttemptEnd) -> Run:
        """End an attempt and move its run, with both events, in one transaction.

        The events are ``attempt.<state>`` and ``end.kind``. Raises IllegalMoveError when the
        attempt has ended already or the run may not move so, StaleRunError, AttemptNotFoundError;
        nothing is written.
        """
        line = EventLine(run.run_id, end.kind, end.body, str(run.state), str(end.run_to))
        with self._change(run.run_id) as (connection, now):
            current = read_attempt(connection, attempt.attempt_id)
            if current.run_id != run.run_id:
                raise IllegalMoveError(
                    f"attempt {current.name} belongs to run {current.run_id}, not {run.run_id}"
                )
            _end_attempt(connection, current, end, now)
            if not end.holder_may_live:
                release_lease(connection, current)
            return write_move(connection, run, line, end.changes, now)

    def hear(self, attempt_id: AttemptId, progress: Mapping[str, Any], holder: str = "") -> Heard:
        """Keep the last thing a running attempt said, and renew its lease. No event, no version.

        ``holder`` is the process that speaks; empty when its heartbeat was read by somebody else.
        An attempt that has ended shall stop; its word is not kept. Raises AttemptNotFoundError.
        """
        with self._database.write() as connection:
            attempt = read_attempt(connection, attempt_id)
            if str(attempt.state) in LIVE:
                connection.execute(
                    RUN.update().where(RUN.c.run_id == attempt.run_id).values(progress=progress)
                )
                if not holder:
                    renew_lease(connection, attempt, self._terms)
            answer = take_lease(connection, attempt, holder, self._terms) if holder else None
            run = read_run(connection, attempt.run_id)
        self._bell.ring(run.run_id)
        return Heard(str(attempt.state) not in LIVE or run.cancel_requested, answer)

    def take_lease(self, attempt_id: AttemptId, holder: str) -> LeaseAnswer:
        """Let ``holder``, a process of this attempt, write the run; or say why it may not.

        Asking again renews. Raises AttemptNotFoundError.
        """
        with self._database.write() as connection:
            return take_lease(connection, read_attempt(connection, attempt_id), holder, self._terms)

    def lease_of(self, run_id: RunId) -> Lease | None:
        """Return the run's lease; None when no attempt has ever taken it."""
        with self._database.read() as connection:
            return read_lease(connection, run_id, self._terms)

    def request_cancel(self, run_id: RunId, reason: str = "") -> Run:
        """Write down that a person wants the run to stop (event ``run.cancel_requested``).

        A terminal run, or one asked before, is returned as it is. Raises RunNotFoundError.
        """
        with self._change(run_id) as (connection, now):
            run = read_run(connection, run_id)
            if run.state in TERMINAL or run.cancel_requested:
                return run
            line = EventLine(run_id, "run.cancel_requested", {"reason": reason})
            write_event(connection, line, now)
            return write_columns(connection, run, {"cancel_requested": True, "updated_at": now})

    def release_hold(
        self, lane: str, changes: Callable[[Run, list[Attempt]], RunChanges] | None = None
    ) -> int:
        """Open a lane; its HELD runs are queued again (event ``hold.released`` each).

        ``changes`` says what else changes with a run, given its attempts. Returns how many runs
        were queued; 0 for a lane that is not held.
        """
        with self._change() as (connection, now):
            connection.execute(HOLD.delete().where(HOLD.c.lane == lane))
            rows = connection.execute(
                RUNS.where(RUN.c.lane == lane, RUN.c.state == str(RunState.HELD)).order_by(
                    RUN.c.serial
                )
            ).all()
            for run in map(make_run, rows):
                line = EventLine(
                    run.run_id,
                    "hold.released",
                    {"lane": lane},
                    str(RunState.HELD),
                    str(RunState.QUEUED),
                )
                attempts = read_attempts(connection, run.run_id)
                changed = changes(run, attempts) if changes else RunChanges()
                write_move(connection, run, line, changed, now)
            return len(rows)

    @contextmanager
    def _change(self, run_id: str = "") -> Iterator[tuple[Connection, datetime]]:
        """Write, then ring for the run, or for all where several may have changed."""
        with self._database.write() as connection:
            yield connection, self._clock()
        self._bell.ring(run_id)


def _check_attempt_move(attempt: Attempt, to: AttemptState) -> None:
    if to not in ATTEMPT_MOVES[attempt.state]:
        raise IllegalMoveError(f"attempt {attempt.name} cannot go from {attempt.state} to {to}")


def _end_attempt(connection: Connection, attempt: Attempt, end: AttemptEnd, now: datetime) -> None:
    _check_attempt_move(attempt, end.attempt_state)
    if end.attempt_state is AttemptState.RUNNING:
        raise IllegalMoveError(
            f"running is not an end for attempt {attempt.name}: use mark_running"
        )
    outcome = dict(end.outcome)
    if end.failure is not None:
        outcome.pop("failure", None)  # as it was judged, it has a column of its own
    connection.execute(
        ATTEMPT.update()
        .where(ATTEMPT.c.attempt_id == attempt.attempt_id)
        .values(
            state=str(end.attempt_state),
            failure=end.failure.to_json() if end.failure else None,
            outcome=outcome,
            ended_at=now,
        )
    )
    body = {
        "attempt_id": attempt.attempt_id,
        "name": attempt.name,
        "stage": str(attempt.stage),
        "number": attempt.number,
        "code": str(end.failure.code) if end.failure else "",
    }
    line = EventLine(attempt.run_id, f"attempt.{end.attempt_state}", body)
    write_event(connection, line, now)
