"""Who owns a run, and which process may report for an attempt.

A run belongs to everybody who submitted it: the same recording under the same configuration is one
run. All of them may read its results; only the one whose batch made it may stop it or start it
again, and when it ends badly another owner gets a new run. Of an attempt's secret only the
SHA-256 is kept.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from spikefleet.core.files import digest_document
from spikefleet.core.ids import AttemptId, RunId
from spikefleet.core.runs import TERMINAL, RunState, run_id_for
from spikefleet.infra.stores.sql.database import Database
from spikefleet.infra.stores.sql.run_values import NewRun
from spikefleet.infra.stores.sql.tables import ATTEMPT, BATCH, BATCH_RUN, RUN, in_portions

_ENDED_BADLY = frozenset(str(state) for state in TERMINAL - {RunState.SUCCEEDED})


class RunAccess:
    """Answers for owners and secrets. Every call is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def may_read(self, run_id: RunId, owner: str) -> bool:
        """Say whether ``owner`` submitted this run, first or again. False for an unknown run."""
        query = (
            select(BATCH_RUN.c.run_id)
            .join(BATCH, BATCH.c.batch_id == BATCH_RUN.c.batch_id)
            .where(BATCH_RUN.c.run_id == run_id, BATCH.c.owner == owner)
        )
        with self._database.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def owner_of(self, run_id: RunId) -> str:
        """Return whose batch made the run; "" for an unknown one, and one older than owners."""
        query = (
            select(BATCH.c.owner)
            .join(RUN, RUN.c.batch_id == BATCH.c.batch_id)
            .where(RUN.c.run_id == run_id)
        )
        with self._database.read() as connection:
            return str(connection.execute(query).scalar_one_or_none() or "")

    def keep_secret(self, attempt_id: AttemptId, secret: str) -> None:
        """Remember the secret of an attempt that is about to be launched; the last one counts."""
        here = ATTEMPT.c.attempt_id == attempt_id
        with self._database.write() as connection:
            connection.execute(ATTEMPT.update().where(here).values(secret_sha256=_digest(secret)))

    def has_secret(self, attempt_id: AttemptId, secret: str) -> bool:
        """Say whether this is the attempt's secret. False for an unknown attempt, and without one.

        Takes the same time for any wrong secret.
        """
        query = select(ATTEMPT.c.secret_sha256).where(ATTEMPT.c.attempt_id == attempt_id)
        with self._database.read() as connection:
            known = str(connection.execute(query).scalar_one_or_none() or "")
        return bool(known) and hmac.compare_digest(known, _digest(secret))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def choose_runs(
    connection: Connection, asked: Sequence[NewRun], owner: str
) -> list[tuple[NewRun, str | None]]:
    """Return the run that each of a submission of ``owner`` means, and whose it is; None: nobody's.

    The same bytes under the same configuration are one run for all owners until it ends badly:
    then only the owner who made it may start it again, and any other has one of his own.
    """
    own = [replace(new, identity=digest_document([new.identity, owner])) for new in asked]
    known = _known_runs(connection, (new.identity for new in (*own, *asked)))
    return [_chosen(pair, known, owner) for pair in zip(own, asked, strict=True)]


def _chosen(
    pair: tuple[NewRun, NewRun], known: Mapping[str, Any], owner: str
) -> tuple[NewRun, str | None]:
    own, asked = pair
    for wanted in pair:
        row = known.get(run_id_for(wanted.identity))
        if row is None:
            continue
        is_lost = row.state in _ENDED_BADLY or row.cancel_requested
        if row.owner == owner or not is_lost:
            return wanted, str(row.owner)
        return own, None
    return asked, None


def _known_runs(connection: Connection, identities: Iterable[str]) -> dict[str, Any]:
    """Whose each run with one of these identities is and how it stands, by its id."""
    query = select(RUN.c.run_id, BATCH.c.owner, RUN.c.state, RUN.c.cancel_requested).join(
        BATCH, BATCH.c.batch_id == RUN.c.batch_id
    )
    return {
        row.run_id: row
        for portion in in_portions(dict.fromkeys(map(run_id_for, identities)))
        for row in connection.execute(query.where(RUN.c.run_id.in_(portion)))
    }
