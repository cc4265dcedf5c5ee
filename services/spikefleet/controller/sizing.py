"""What a failed attempt had, and what the facility would let it have: the policy's context.

Reads the records; decides nothing.
"""

from __future__ import annotations

from dataclasses import replace

from spikefleet.controller.sort_spec import needs_in_pod
from spikefleet.core.policy.changes import DecisionContext
from spikefleet.core.policy.sizes import SizeRange, attempt_size
from spikefleet.core.runs import Attempt, Run
from spikefleet.core.sorters.catalogue import BACKENDS


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


def within(
    allowed: SizeRange, run: Run, attempt: Attempt, context: DecisionContext
) -> DecisionContext:
    """Add what the attempt had of a cluster, and the most that it may have."""
    size = attempt_size(allowed, needs_in_pod(run), attempt.params)
    return replace(
        context,
        allowed=allowed,
        memory_limit_bytes=size.memory_bytes,
        scratch_bytes=size.scratch_bytes,
    )
