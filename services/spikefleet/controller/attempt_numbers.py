"""Which number the next attempt of a stage gets: one under which there is nothing yet.

The records count their own attempts. Records that were brought back from a copy do not know those
that were made since; their Jobs may be in the cluster, and what they stored is written once. Taking
such a number would meet a Job of another attempt, or pass an older result off as the new one.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Sequence

from spikefleet.core.attempts import Stage
from spikefleet.core.runs import Attempt, AttemptPlace, Run, attempt_name
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore

log = logging.getLogger(__name__)


def free_number(
    run: Run, attempts: Sequence[Attempt], seen: Container[str], artifacts: ArtifactStore
) -> int:
    """Return the next number of the run's stage whose name and prefix are free.

    ``attempts`` are the run's on record, ``seen`` the names that the launcher knows. A store that
    does not answer is not waited for: whoever writes to it meets that himself, and says so.
    """
    number = 1 + max((each.number for each in attempts if each.stage is run.stage), default=0)
    if run.stage is Stage.PREFLIGHT:  # it stores nothing
        return number
    while _is_taken(run, number, seen, artifacts):
        told = {"run_id": run.run_id, "stage": str(run.stage), "number": number}
        log.warning("attempt.number_taken", extra=told)
        number += 1
    return number


def _is_taken(run: Run, number: int, seen: Container[str], artifacts: ArtifactStore) -> bool:
    if attempt_name(run.run_id, run.stage, number) in seen:
        return True
    try:
        return bool(artifacts.list_keys(AttemptPlace(run.run_id, run.stage, number).prefix))
    except OSError as error:
        log.warning("attempt.number_unchecked", extra={"run_id": run.run_id, "why": str(error)})
        return False
