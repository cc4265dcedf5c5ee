"""What a failed attempt had, and what the facility would let it have: the policy's context.

A profile may be changed while an attempt runs, so what it had is read from its order, or told by
its failure; only where neither says is it worked out from the profile of now. Reads the records
and the store; decides nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from spikefleet.controller.attempt_documents import StoredDocuments
from spikefleet.controller.sort_spec import needs_in_pod
from spikefleet.core.failures.errors import Failure
from spikefleet.core.policy.budgets import budget_of
from spikefleet.core.policy.changes import DecisionContext
from spikefleet.core.policy.sizes import AttemptSize, SizeRange, attempt_size
from spikefleet.core.runs import Attempt, Run
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.infra.foreign_documents import count
from spikefleet.infra.launchers.base import LauncherUnreachableError

log = logging.getLogger(__name__)

UNKNOWN = AttemptSize()


def decision_context(
    run: Run, attempt: Attempt, node: str, memory_limit_bytes: int
) -> DecisionContext:
    """Return what the attempt was. ``node`` is where it ended, "" for this machine."""
    return DecisionContext(
        stage=str(attempt.stage),
        params=dict(attempt.params),
        config=run.config,
        ladder=BACKENDS[run.backend].ladder,
        memory_limit_bytes=memory_limit_bytes,
        node=node,
    )


def size_had(documents: StoredDocuments, attempt: Attempt, failure: Failure) -> AttemptSize:
    """Return what a cluster gave the attempt: by its order, else by the limit its failure met.

    What neither tells is 0 or "".
    """
    try:
        orders = documents.orders(attempt.place.prefix)
    except LauncherUnreachableError as error:
        log.warning("attempt.order_unread", extra={"attempt": attempt.name, "why": str(error)})
        orders = []
    met, cause = count(failure.evidence.get("limit_bytes")) or 0, budget_of(failure.code)
    memory = _least(orders, "memory_limit_bytes") or (met if cause == "host_memory" else 0)
    scratch = _least(orders, "scratch_limit_bytes") or (met if cause == "disk" else 0)
    classes = {str(order.get("gpu_class") or "") for order in orders}
    return AttemptSize(memory, scratch, classes.pop() if len(classes) == 1 else "")


def within(
    allowed: SizeRange,
    run: Run,
    attempt: Attempt,
    context: DecisionContext,
    had: AttemptSize = UNKNOWN,
) -> DecisionContext:
    """Add what the attempt had of a cluster, and the most that it may have."""
    size = attempt_size(allowed, needs_in_pod(run), attempt.params)
    return replace(
        context,
        allowed=allowed,
        memory_limit_bytes=had.memory_bytes or size.memory_bytes,
        scratch_bytes=had.scratch_bytes or size.scratch_bytes,
        gpu_class_had=had.gpu_class,
    )


def _least(orders: Sequence[Mapping[str, object]], name: str) -> int:
    """The smallest that an order gave: to ask once too little costs a try, not a person."""
    return min((given for order in orders if (given := count(order.get(name)))), default=0)
