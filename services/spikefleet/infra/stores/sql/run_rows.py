"""Rows to runs and back, and the one statement that changes a run. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select

from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.failures.codes import FailureCode, RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.ids import AttemptId, BatchId, RecordingId, RunId
from spikefleet.core.runs import (
    RUN_MOVES,
    Attempt,
    IllegalMoveError,
    Run,
    RunEvent,
    RunState,
)
from spikefleet.infra.stores.sql.run_values import (
    AttemptNotFoundError,
    RunChanges,
    RunNotFoundError,
    StaleRunError,
)
from spikefleet.infra.stores.sql.sort_marks import sort_mark
from spikefleet.infra.stores.sql.tables import ATTEMPT, EVENT, HOLD, RUN, UNREADABLE

LIVE = (str(AttemptState.INTENDED), str(AttemptState.RUNNING))


@dataclass(frozen=True)
class EventLine:
    """An event to write; the database gives it its number."""

    run_id: RunId
    kind: str
    body: Mapping[str, Any] = field(default_factory=dict)
    from_state: str = ""
    to_state: str = ""


def read_failure(document: Any) -> Failure | None:
    """Return the stored failure, if there is one."""
    return None if document is None else Failure.from_json(document)


def _runs(*without: str) -> Select[Any]:
    """Rows of runs. A run's failure is that of its failed attempt; rows of earlier versions may
    have a copy that no attempt has.
    """
    columns = [column for column in RUN.c if column.name not in ("failure", *without)]
    failure = func.coalesce(ATTEMPT.c.failure, RUN.c.failure).label("failure")
    joined = RUN.outerjoin(ATTEMPT, ATTEMPT.c.attempt_id == RUN.c.failed_attempt)
    return select(*columns, failure).select_from(joined)


# Built once: to name two dozen columns takes longer than to read a few rows of them.
RUNS = _runs()
SUMMARIES = _runs("config")  # the larger part of a row
_RUN = RUNS.where(RUN.c.run_id == bindparam("run"))
_ATTEMPT = select(ATTEMPT).where(ATTEMPT.c.attempt_id == bindparam("attempt"))
ATTEMPTS_OF = select(ATTEMPT).where(ATTEMPT.c.run_id == bindparam("run")).order_by(ATTEMPT.c.serial)
_LIVE_OF = select(ATTEMPT).where(ATTEMPT.c.run_id == bindparam("run"), ATTEMPT.c.state.in_(LIVE))
_NEW_EVENT = EVENT.insert()


def make_run(row: Row[Any]) -> Run:
    """Turn one of ``RUNS`` into a run; one of ``SUMMARIES`` has no configuration."""
    return Run(
        run_id=row.run_id,
        batch_id=row.batch_id,
        recording_id=row.recording_id,
        stream=row.stream,
        backend=row.backend,
        config=getattr(row, "config", {}),
        config_digest=row.config_digest,
        sort_digest=row.sort_digest,
        identity=row.identity,
        state=RunState(row.state),
        stage=Stage(row.stage),
        created_at=row.created_at,
        updated_at=row.updated_at,
        recording_name=row.recording_name,
        submitter=row.submitter,
        status=None if row.status is None else RunStatus(row.status),
        failure=read_failure(row.failure),
        result=row.result,
        progress=row.progress,
        not_before=row.not_before,
        cancel_requested=row.cancel_requested,
        version=row.version,
        lane=row.lane,
    )


def make_listed_run(row: Row[Any]) -> Run:
    """Like ``make_run``; a row that cannot be read becomes a failed run that says so.

    One bad row must not hide all others from a list.
    """
    try:
        run = make_run(row)
        if not _is_unreadable(row):
            return run
        problem = "a document of it cannot be read"
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
    return Run(
        run_id=RunId(row.run_id),
        batch_id=BatchId(row.batch_id),
        recording_id=RecordingId(row.recording_id),
        stream=str(row.stream),
        backend=str(row.backend),
        config={},
        config_digest=str(row.config_digest),
        sort_digest=str(row.sort_digest),
        identity=str(row.identity),
        state=RunState.FAILED,
        stage=Stage.PREFLIGHT,
        created_at=row.created_at,
        updated_at=row.updated_at,
        recording_name=str(row.recording_name),
        submitter=str(row.submitter),
        failure=Failure(
            FailureCode.UNCLASSIFIED,
            f"The record of this run cannot be read ({problem[:200]}); it is left as it is.",
            rule_id="store.unreadable_row",
        ),
        version=int(row.version),
    )


def _is_unreadable(row: Row[Any]) -> bool:
    documents = (getattr(row, "config", {}), row.result, row.progress, row.failure)
    return any(isinstance(entry, Mapping) and UNREADABLE in entry for entry in documents)


def make_attempt(row: Row[Any]) -> Attempt:
    """Turn a row of the attempt table into an attempt."""
    return Attempt(
        attempt_id=row.attempt_id,
        run_id=row.run_id,
        stage=Stage(row.stage),
        number=row.number,
        name=row.name,
        state=AttemptState(row.state),
        params=row.params,
        created_at=row.created_at,
        ended_at=row.ended_at,
        failure=read_failure(row.failure),
        outcome=row.outcome,
    )


def make_event(row: Row[Any]) -> RunEvent:
    """Turn a row of the event table into an event."""
    return RunEvent(
        seq=row.seq,
        run_id=row.run_id,
        kind=row.kind,
        body=row.body,
        created_at=row.created_at,
        from_state=row.from_state,
        to_state=row.to_state,
    )


def read_run(connection: Connection, run_id: RunId) -> Run:
    """Return one run. Raises RunNotFoundError."""
    row = connection.execute(_RUN, {"run": run_id}).one_or_none()
    if row is None:
        raise RunNotFoundError(f"There is no run {run_id!r}.")
    return make_run(row)


def read_attempt(connection: Connection, attempt_id: AttemptId) -> Attempt:
    """Return one attempt. Raises AttemptNotFoundError."""
    row = connection.execute(_ATTEMPT, {"attempt": attempt_id}).one_or_none()
    if row is None:
        raise AttemptNotFoundError(f"no attempt {attempt_id!r}")
    return make_attempt(row)


def read_attempts(connection: Connection, run_id: RunId) -> list[Attempt]:
    """Return a run's attempts in the order they were intended."""
    return [make_attempt(row) for row in connection.execute(ATTEMPTS_OF, {"run": run_id})]


def read_live_attempts(connection: Connection, run_id: RunId) -> list[Attempt]:
    """Return the run's intended or running attempts; the database allows one."""
    return [make_attempt(row) for row in connection.execute(_LIVE_OF, {"run": run_id})]


def write_event(connection: Connection, line: EventLine, now: datetime) -> None:
    """Append one line of history."""
    values = {
        "run_id": line.run_id,
        "kind": line.kind,
        "body": line.body,
        "from_state": line.from_state,
        "to_state": line.to_state,
        "created_at": now,
    }
    connection.execute(_NEW_EVENT, values)


def check_move(run: Run, to: RunState) -> None:
    """Raise IllegalMoveError unless the table allows the move."""
    if to not in RUN_MOVES[run.state]:
        raise IllegalMoveError(f"run {run.run_id} cannot go from {run.state} to {to}")


def write_columns(connection: Connection, run: Run, values: Mapping[str, Any]) -> Run:
    """Change a run that is still as the caller read it; return it as it is now.

    Raises StaleRunError when it changed meanwhile, RunNotFoundError when there is none.
    """
    updated = connection.execute(
        RUN.update()
        .where(
            RUN.c.run_id == run.run_id,
            RUN.c.version == run.version,
            RUN.c.state == str(run.state),
        )
        .values(**values, version=run.version + 1)
    )
    current = read_run(connection, run.run_id)
    if updated.rowcount != 1:
        raise StaleRunError(
            f"run {run.run_id} was read at version {run.version} ({run.state}) and is at version "
            f"{current.version} ({current.state})"
        )
    return current


def moved_columns(run: Run, to: RunState, changes: RunChanges, now: datetime) -> dict[str, Any]:
    """Return the columns that a move changes, by the rules told in ``RunChanges``."""
    values: dict[str, Any] = {
        "state": str(to),
        "stage": str(changes.stage or run.stage),
        "not_before": changes.not_before,
        "updated_at": now,
    }
    if changes.status is not None:
        values["status"] = str(changes.status)
    elif run.is_terminal or changes.clear_status:
        values["status"] = None
    if changes.failed_attempt:
        values |= {"failed_attempt": changes.failed_attempt, "failure": None}
    elif changes.clear_failure or (run.is_terminal and not changes.keep_failure):
        values |= {"failed_attempt": None, "failure": None}
    if changes.cancel_requested is not None:
        values["cancel_requested"] = changes.cancel_requested
    elif run.is_terminal:
        values["cancel_requested"] = False
    if changes.lane:
        values["lane"] = changes.lane
    if changes.result or changes.drop_result:
        kept = {k: v for k, v in run.result.items() if k not in changes.drop_result}
        values["result"] = kept | dict(changes.result)
        values["sort_mark"] = sort_mark(values["result"])
    return values


def write_move(
    connection: Connection, run: Run, line: EventLine, changes: RunChanges, now: datetime
) -> Run:
    """Move the run to ``line.to_state`` and write the line. A move to HELD also holds its lane.

    Raises IllegalMoveError, StaleRunError.
    """
    to = RunState(line.to_state)
    # Staleness first: a run that moved on is not an illegal move but an old reading.
    moved = write_columns(connection, run, moved_columns(run, to, changes, now))
    check_move(run, to)
    if to is RunState.HELD:
        reason = changes.hold_reason or (moved.failure.message if moved.failure else "")
        _hold(connection, read_lane(connection, run.run_id), reason, run.run_id, now)
    write_event(connection, line, now)
    return moved


def read_lane(connection: Connection, run_id: RunId) -> str:
    """Return the lane a run is in."""
    return str(connection.execute(select(RUN.c.lane).where(RUN.c.run_id == run_id)).scalar_one())


def _hold(connection: Connection, lane: str, reason: str, run_id: RunId, now: datetime) -> None:
    """Hold a lane; of one that is held already the first reason stays."""
    if connection.execute(select(HOLD.c.lane).where(HOLD.c.lane == lane)).first() is None:
        connection.execute(
            HOLD.insert().values(lane=lane, reason=reason, run_id=run_id, created_at=now)
        )
