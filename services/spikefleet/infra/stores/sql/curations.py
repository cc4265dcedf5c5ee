"""Curations beside a run's own: who made them, when, from what, and which one is given out.

A row is written when its files are complete, in one transaction with its event; nothing is ever
replaced. The run's own curation has no row: it is chosen where no row is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from sqlalchemy import Connection, Row, select

from spikefleet.core.attempts import Stage
from spikefleet.core.ids import RunId
from spikefleet.core.rooms.curation import RunCuration
from spikefleet.core.runs import AttemptPlace
from spikefleet.infra.stores.sql.database import Clock, Database, utc_now
from spikefleet.infra.stores.sql.run_rows import EventLine, write_event
from spikefleet.infra.stores.sql.tables import CURATION, EVENT, next_serial

MOST_OF_A_RUN = 1000
_UNREPORTED = "curation.unreported"


class CurationNameTakenError(ValueError):
    """Another curation of the run has this name; nothing was written."""

    refusal: ClassVar[str] = "CURATION_NAME_TAKEN"


class CurationStore:
    """Reads and writes curations. Every call is one transaction."""

    def __init__(self, database: Database, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def of_run(self, run_id: RunId) -> list[RunCuration]:
        """Return the curations beside the run's own, in the order they were made."""
        with self._database.read() as connection:
            return _of_run(connection, run_id)

    def add(self, new: RunCuration) -> RunCuration:
        """Write down a curation that is complete (event ``curation.made``); return it.

        One of this id is returned as it is. Raises CurationNameTakenError.
        """
        with self._database.write() as connection:
            there = _of_run(connection, new.run_id)
            for known in there:
                if known.curation_id == new.curation_id:
                    return known
                if known.name == new.name:
                    raise CurationNameTakenError(
                        f"Run {new.run_id} has another curation called {new.name!r}."
                    )
            if len(there) >= MOST_OF_A_RUN:
                raise CurationNameTakenError(
                    f"Run {new.run_id} has {MOST_OF_A_RUN} curations, which are the most."
                )
            made = replace(new, created_at=self._clock())
            connection.execute(CURATION.insert().values(_columns(connection, made)))
            body = {"curation_id": made.curation_id, "name": made.name, "curator": made.curator}
            counts = {"n_sorted": made.n_sorted, "n_curated": made.n_curated}
            line = EventLine(made.run_id, "curation.made", {**body, "kind": made.kind, **counts})
            write_event(connection, line, made.created_at)
            return made

    def set_report(self, curation_id: str, html_key: str) -> None:
        """Remember the page of a curation."""
        here = CURATION.c.curation_id == curation_id
        with self._database.write() as connection:
            connection.execute(CURATION.update().where(here).values(report_html=html_key))

    def tell_unreported(self, made: RunCuration, why: str) -> None:
        """Write down that the page of a curation could not be made (``curation.unreported``)."""
        body = {"curation_id": made.curation_id, "name": made.name, "reason": why}
        with self._database.write() as connection:
            line = EventLine(made.run_id, _UNREPORTED, body)
            write_event(connection, line, self._clock())

    def left_without_report(self) -> list[RunCuration]:
        """Return the curations without a page of which nothing says that it could not be made."""
        left = select(CURATION).where(CURATION.c.report_html == "").order_by(CURATION.c.serial)
        of_them = EVENT.c.run_id.in_(select(left.subquery().c.run_id))
        told = select(EVENT.c.body).where(of_them, EVENT.c.kind == _UNREPORTED)
        with self._database.read() as connection:
            known = {body.get("curation_id") for body in connection.execute(told).scalars()}
            rows = [_curation(row) for row in connection.execute(left)]
        return [one for one in rows if one.curation_id not in known]

    def choose(self, run_id: RunId, curation_id: str, name: str, curator: str) -> None:
        """Give out this curation when none is named; "" is the run's own."""
        with self._database.write() as connection:
            of_run = CURATION.c.run_id == run_id
            before = select(CURATION.c.curation_id).where(of_run, CURATION.c.chosen)
            if (connection.execute(before).scalar_one_or_none() or "") == curation_id:
                return
            chosen = CURATION.c.curation_id == curation_id
            connection.execute(CURATION.update().where(of_run).values(chosen=chosen))
            body = {"curation_id": curation_id, "name": name, "curator": curator}
            write_event(connection, EventLine(run_id, "curation.chosen", body), self._clock())


def _columns(connection: Connection, made: RunCuration) -> dict[str, Any]:
    return {
        "curation_id": made.curation_id,
        "serial": next_serial(connection, CURATION),
        "run_id": made.run_id,
        "name": made.name,
        "kind": made.kind,
        "settings": made.settings,
        "curator": made.curator,
        "owner": made.owner,
        "sort_prefix": made.sort_prefix,
        "n_sorted": made.n_sorted,
        "n_curated": made.n_curated,
        "report_html": made.report_html,
        "chosen": False,
        "created_at": made.created_at,
    }


def _of_run(connection: Connection, run_id: RunId) -> list[RunCuration]:
    query = select(CURATION).where(CURATION.c.run_id == run_id).order_by(CURATION.c.serial)
    return [_curation(row) for row in connection.execute(query)]


def _curation(row: Row[Any]) -> RunCuration:
    run_id = RunId(row.run_id)
    return RunCuration(
        run_id=run_id,
        curation_id=row.curation_id,
        name=row.name,
        kind=row.kind,
        settings=row.settings,
        curator=row.curator,
        owner=row.owner,
        created_at=row.created_at,
        sort_prefix=row.sort_prefix,
        n_sorted=row.n_sorted,
        n_curated=row.n_curated,
        prefix=AttemptPlace(run_id, Stage.CURATE, curation=row.curation_id).prefix,
        report_html=row.report_html,
        is_chosen=row.chosen,
    )
