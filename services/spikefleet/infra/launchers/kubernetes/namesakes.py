"""Whose a Job is that has the name of an attempt: its own, one of before, or a stranger's. Pure.

An attempt's name follows from its run, so after its records were lost the same name comes again.
"""

from __future__ import annotations

from spikefleet.core.attempts import AttemptSpec
from spikefleet.infra.launchers.base import NameConflictError
from spikefleet.infra.launchers.kubernetes.manifests import (
    ATTEMPT_ID,
    ATTEMPT_NAME,
    ATTEMPT_SECRET,
    RECORDED,
    RUN_ID,
    Order,
    identity_labels,
    job_name,
)
from spikefleet.infra.launchers.kubernetes.objects import (
    Json,
    annotations_of,
    holds,
    metadata,
)


def is_of(job: Json, spec: AttemptSpec) -> bool:
    """Whether a Job is the attempt's, and not another attempt's that had the same name."""
    return annotations_of(job).get(ATTEMPT_ID) == spec.attempt_id


def is_made_by_this(job: Json, order: Order) -> bool:
    """Whether a Job of the name of ``order`` was made by it. False: it is spent and makes room.

    Spent is one that is on its way out, whose pod would show another secret, whose outcome is on
    record, or that is an ended attempt of the same run which the records have lost. Raises
    NameConflictError for any other, which is touched by nobody here.
    """
    if is_of(job, order.spec):
        has_secret = annotations_of(job).get(ATTEMPT_SECRET) == order.secret_name
        is_recorded = RECORDED in (metadata(job).get("labels") or {})
        return has_secret and not is_leaving(job) and not is_recorded
    if _is_ended_try(job, order):
        return False
    name = job_name(order.spec.name)
    raise NameConflictError(
        f"the Job {name} is not this attempt's; delete it or move this installation to a "
        "namespace of its own"
    )


def is_leaving(job: Json) -> bool:
    """Whether the Job is being deleted."""
    return bool(metadata(job).get("deletionTimestamp"))


def _is_ended_try(job: Json, order: Order) -> bool:
    """Whether this installation made the Job for the same run, and it has ended."""
    notes, labels = annotations_of(job), metadata(job).get("labels") or {}
    own = identity_labels(order.runners).items()
    is_of_run = (notes.get(ATTEMPT_NAME), notes.get(RUN_ID)) == (order.spec.name, order.spec.run_id)
    has_ended = holds(job, "Complete") or holds(job, "Failed")
    return is_of_run and has_ended and all(labels.get(name) == value for name, value in own)
