"""How many attempts and runs have ended, and how, and how many are under way, in one statement."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, case, func, or_, select, text

from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.runs import RunState
from spikefleet.infra.stores.sql.tables import ATTEMPT, EVENT, RUN


@dataclass(frozen=True)
class EndCount:
    """So many events of one kind: of runs of one backend, with one stage, code and status."""

    kind: str
    backend: str
    stage: str
    code: str
    status: str
    count: int


@dataclass(frozen=True)
class LiveCount:
    """So many attempts of one backend and stage are intended or running.

    ``phase`` is ``running``, ``start`` where it was not started yet, else what a started sort
    waits for (``core.attempts.WaitsFor``).
    """

    backend: str
    stage: str
    phase: str
    count: int


def count_live(connection: Connection) -> list[LiveCount]:
    """Return how many attempts are under way, by backend, stage and phase."""
    waits_for = func.nullif(RUN.c.progress["waits_for"].as_string(), "")
    phase = case(
        (ATTEMPT.c.state == str(AttemptState.INTENDED), "start"),
        (ATTEMPT.c.stage == str(Stage.SORT), func.coalesce(waits_for, "running")),
        else_="running",
    )
    under_way = (
        select(RUN.c.backend, ATTEMPT.c.stage, phase.label("phase"))
        .join(RUN, RUN.c.run_id == ATTEMPT.c.run_id)
        .where(text("attempt.state IN ('intended', 'running')"))
        .subquery()
    )
    columns = (under_way.c.backend, under_way.c.stage, under_way.c.phase)
    query = select(*columns, func.count().label("attempts")).group_by(*columns)
    return [
        LiveCount(row.backend, row.stage, row.phase, row.attempts)
        for row in connection.execute(query)
    ]


def count_ends(connection: Connection) -> list[EndCount]:
    """Return what the history tells of ends: decisions, finished stages, ends of runs.

    A retry that was given up and left the run's finished result is not an end of the run.
    """
    kind = EVENT.c.kind
    told = (
        select(
            kind.label("kind"),
            RUN.c.backend.label("backend"),
            EVENT.c.body["stage"].as_string().label("stage"),
            func.coalesce(
                EVENT.c.body["code"].as_string(),
                EVENT.c.body["failure"]["code"].as_string(),  # as earlier releases wrote it
            ).label("code"),
            EVENT.c.body["status"].as_string().label("status"),
        )
        .join(RUN, RUN.c.run_id == EVENT.c.run_id)
        .where(
            or_(
                kind.like("decision.%"),
                kind.like("stage.%.done"),
                kind == "run.ended",
                (kind == "run.cancelled") & (EVENT.c.to_state == str(RunState.CANCELLED)),
            )
        )
        .subquery()
    )
    columns = (told.c.kind, told.c.backend, told.c.stage, told.c.code, told.c.status)
    query = select(*columns, func.count().label("ends")).group_by(*columns)
    return [
        EndCount(row.kind, row.backend, row.stage or "", row.code or "", row.status or "", row.ends)
        for row in connection.execute(query)
    ]
