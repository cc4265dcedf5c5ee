"""Which runs a round of the controller has to look at: nothing here reads runs that have to wait.

Every query is answered from an index over unfinished runs alone, so neither history nor the length
of the queue costs anything. Databases use such an index only where a query repeats its condition
word for word; the conditions below are therefore text, not bound values.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import TextClause, bindparam, select, text

from spikefleet.core.ids import RunId
from spikefleet.core.runs import Attempt, Run, RunState
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.run_rows import RUNS, make_attempt, make_listed_run, make_run
from spikefleet.infra.stores.sql.tables import ATTEMPT, RUN, UtcTime

_SOURCES_LOOKED_AT = 20

_MOVING = """SELECT run_id FROM run WHERE state = 'running'
    UNION ALL SELECT run_id FROM run WHERE state = 'queued'
        AND stage IN ('preflight', 'curate', 'report')
    UNION ALL SELECT run_id FROM run WHERE state = 'waiting' AND not_before IS NULL
    UNION ALL SELECT run_id FROM run WHERE state = 'waiting' AND not_before <= :now
    UNION ALL SELECT run_id FROM run
        WHERE cancel_requested AND state NOT IN ('succeeded', 'skipped', 'failed', 'cancelled')"""

_QUEUED = "q.state = 'queued' AND q.stage = 'sort'"
_FINISHED = (
    "EXISTS (SELECT 1 FROM run AS d WHERE d.sort_mark = 'done' AND d.sort_digest = q.sort_digest)"
)
_UNDER_WAY = """EXISTS (SELECT 1 FROM run AS o
    WHERE o.sort_mark IN ('', 'fresh') AND o.state IN ('queued', 'waiting', 'running', 'held')
    AND o.sort_digest = q.sort_digest AND o.serial < q.serial)"""

# Statements are built once: to build one takes longer than to execute it.
_MOVING_RUNS = RUNS.where(
    RUN.c.run_id.in_(
        text(_MOVING)
        .bindparams(bindparam("now", type_=UtcTime()))
        .columns(RUN.c.run_id)
        .scalar_subquery()
    )
).order_by(RUN.c.serial)
_LIVE_ATTEMPTS = select(ATTEMPT).where(text("attempt.state IN ('intended', 'running')"))
_TO_TAKE_OVER = text(f"""SELECT q.run_id, q.sort_digest FROM run AS q
    WHERE {_QUEUED} AND q.sort_mark <> 'fresh' AND {_FINISHED} ORDER BY q.serial""")
_IN_LANE = text(f"""SELECT q.run_id FROM run AS q
    WHERE {_QUEUED} AND q.backend = :backend ORDER BY q.serial""")
_TO_START = text(f"""SELECT q.run_id FROM run AS q
    WHERE {_QUEUED} AND q.backend IN :backends
    AND (q.sort_mark = 'fresh' OR NOT ({_FINISHED} OR {_UNDER_WAY}))
    ORDER BY q.serial LIMIT :most""").bindparams(bindparam("backends", expanding=True))


@dataclass(frozen=True)
class WaitingSorts:
    """Runs, oldest first, that wait for a sort which another run has finished."""

    sort_digest: str
    run_ids: tuple[RunId, ...]


class RunQueue:
    """Reads the work at hand. Every call is one consistent view of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def moving_runs(self, now: datetime) -> list[Run]:
        """Return every run that may continue without a slot for a sort, oldest first.

        Those that run, begin another stage than the sort, are due, or are to be cancelled.
        """
        with self._database.read() as connection:
            return [make_listed_run(row) for row in connection.execute(_MOVING_RUNS, {"now": now})]

    def live_attempts(self) -> list[Attempt]:
        """Return every intended or running attempt of every run, oldest first."""
        with self._database.read() as connection:
            # Put in order here: asked for it, SQLite goes through the order of all attempts.
            rows = connection.execute(_LIVE_ATTEMPTS).all()
        return [make_attempt(row) for row in sorted(rows, key=lambda row: row.serial)]

    def sorts_to_take_over(self) -> list[WaitingSorts]:
        """Return the queued runs whose very sort is finished already, by sort digest."""
        waiting: dict[str, list[RunId]] = {}
        with self._database.read() as connection:
            for row in connection.execute(_TO_TAKE_OVER):
                waiting.setdefault(row.sort_digest, []).append(row.run_id)
        return [WaitingSorts(digest, tuple(run_ids)) for digest, run_ids in waiting.items()]

    def queued_sorts(self, backend: str) -> list[RunId]:
        """Return the ids of the runs that wait for a slot for this backend, oldest first."""
        return self._ids(_IN_LANE, {"backend": backend})

    def first_held(self, lane: str) -> Run | None:
        """Return the oldest run that is held in a lane; None where there is none."""
        query = RUNS.where(RUN.c.lane == lane, RUN.c.state == str(RunState.HELD))
        with self._database.read() as connection:
            row = connection.execute(query.order_by(RUN.c.serial).limit(1)).first()
        return make_listed_run(row) if row is not None else None

    def sorts_to_start(self, backends: Collection[str], most: int) -> list[RunId]:
        """Return the ids of at most so many runs that a slot would let start, oldest first.

        Not those that wait for an older run's very sort, or for one that is finished.
        """
        return self._ids(_TO_START, {"backends": sorted(backends), "most": most})

    def sorted_runs(self, sort_digest: str) -> list[Run]:
        """Return the oldest runs whose sort of this digest is complete and can be taken over."""
        query = (
            RUNS.where(text("run.sort_mark = 'done'"), RUN.c.sort_digest == sort_digest)
            .order_by(RUN.c.serial)
            .limit(_SOURCES_LOOKED_AT)
        )
        with self._database.read() as connection:
            return [make_run(row) for row in connection.execute(query)]

    def _ids(self, query: TextClause, asked: Mapping[str, object]) -> list[RunId]:
        with self._database.read() as connection:
            return [RunId(row.run_id) for row in connection.execute(query, asked)]
