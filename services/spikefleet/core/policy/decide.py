"""What to do about a failure: one pure function of the failure and the history of its stage.

Biology and input end a run, the environment holds its lane and spends no retry, a resource is
retried with a change, our own faults once, infrastructure unchanged. Every decision names its rule.
Steps that can change spikes are not taken without leave. Nothing is launched or written here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spikefleet.core.failures.codes import BY_CODE, Disposition, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.policy.budgets import (
    BUDGET_OF,
    PastAttempt,
    Policy,
    budget_of,
    left,
    used,
)
from spikefleet.core.policy.changes import (
    DecisionContext,
    affects_result,
    apply_changes,
    beyond_the_largest,
    elsewhere,
    ladder_changes,
    larger_gpu,
    merged,
    more_memory,
    more_scratch,
    scratch_claim,
    smaller_batches,
)
from spikefleet.core.policy.lanes import AT_LARGEST

__all__ = [
    "Decision",
    "DecisionContext",
    "PastAttempt",
    "Policy",
    "apply_changes",
    "decide",
    "is_mended_by_release",
    "possible_actions",
]


@dataclass(frozen=True)
class Decision:
    """What to do, why, and with which changes.

    ``changes`` are cumulative (``sorter_params``, ``n_jobs``, ``memory_limit_bytes``,
    ``scratch_bytes``, ``exclude_nodes``). ``result_affecting`` marks a next attempt whose spikes
    can differ from those of the run's own configuration.
    """

    action: Disposition
    rule_id: str
    reason: str
    delay_s: float = 0.0
    changes: Mapping[str, Any] = field(default_factory=dict)
    result_affecting: bool = False
    budgets_left: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Step:
    """A retry that is possible; ``obstacle`` says why it may not be taken.

    ``at_largest``: the attempt had the most that the facility allows, which a person may raise.
    """

    action: Disposition
    changes: Mapping[str, Any] = field(default_factory=dict)
    how: str = "unchanged"
    obstacle: str = ""
    at_largest: bool = False


_Answer = Callable[[FailureCode, int, Policy, DecisionContext], _Step]
_NOTHING_LEFT = "there is no further step to take"
_NODE_LOST = "node_lost"


def _same(_code: FailureCode, _retry: int, _policy: Policy, context: DecisionContext) -> _Step:
    return _Step(Disposition.RETRY_SAME, merged(context))


def _elsewhere(_code: FailureCode, _retry: int, _policy: Policy, context: DecisionContext) -> _Step:
    return _Step(
        Disposition.RETRY_ELSEWHERE, elsewhere(context), "on another node where there is one"
    )


def _requeue(_code: FailureCode, _retry: int, _policy: Policy, context: DecisionContext) -> _Step:
    return _Step(Disposition.REQUEUE, merged(context), "once the lease has ended")


def _scaled(changes: Mapping[str, Any] | None, how: str) -> _Step:
    if changes is None:
        return _Step(Disposition.FAIL, obstacle=_NOTHING_LEFT)
    return _Step(Disposition.RETRY_SCALED, changes, how)


def _gpu_memory(_code: FailureCode, retry: int, policy: Policy, context: DecisionContext) -> _Step:
    """Smaller batches while they may be taken, then a larger GPU, which changes no parameter."""
    if context.allowed.is_gpu_shared:
        return _shared_gpu_memory(policy, context)
    smaller = smaller_batches(context, policy) if retry < policy.oom_retry_max else None
    if smaller is None and (larger := larger_gpu(context)):
        return _scaled(larger, "on a larger GPU")
    return _scaled(smaller, "with smaller batches")


def _shared_gpu_memory(policy: Policy, context: DecisionContext) -> _Step:
    """Away from that GPU, whose memory a neighbour may have taken, and at once on a larger one.

    Only where there is none larger are batches made smaller: that may be for nothing.
    """
    nodes = elsewhere(context).get("exclude_nodes")
    away = {"exclude_nodes": nodes} if nodes else {}
    if larger := larger_gpu(context):
        return _scaled({**larger, **away}, "on a larger GPU, away from those that share this one")
    smaller = smaller_batches(context, policy)
    if smaller is None:
        return _scaled(None, "")
    return _scaled({**smaller, **away}, "with smaller batches, away from those that share this GPU")


def _host_memory(_code: FailureCode, _retry: int, policy: Policy, ctx: DecisionContext) -> _Step:
    more = more_memory(ctx, policy)
    if more is None and ctx.allowed.most_memory_bytes:
        return _at_largest("host_memory", "memory", ctx.memory_limit_bytes, policy, ctx)
    return _scaled(more, "with more memory or fewer workers")


def _disk(_code: FailureCode, _retry: int, policy: Policy, context: DecisionContext) -> _Step:
    """More of a claim that is known; otherwise the disk is everybody's, and waiting may help."""
    if more := more_scratch(context, policy):
        return _scaled(more, "with a larger scratch claim")
    if context.allowed.most_scratch_bytes:
        return _at_largest("disk", "scratch", scratch_claim(context), policy, context)
    return _Step(Disposition.RETRY_SAME, merged(context), "after waiting for room on the disk")


def _at_largest(
    cause: str, what: str, n_bytes: int, policy: Policy, context: DecisionContext
) -> _Step:
    """Nothing more is allowed: a person decides, and what would come next is kept for then."""
    obstacle = (
        f"it had the largest {what} that a sort of this kind may get here "
        f"({n_bytes / 2**30:.0f} GiB); allow more in the runner profile, then release it"
    )
    changes = beyond_the_largest(context, policy, cause)
    return _Step(Disposition.HOLD, changes, obstacle=obstacle, at_largest=True)


def _gpu_fault(code: FailureCode, retry: int, policy: Policy, context: DecisionContext) -> _Step:
    """First elsewhere as it was; a second fault is often memory pressure, so then smaller."""
    if retry == 0:
        return _elsewhere(code, retry, policy, context)
    smaller = smaller_batches(context, policy) if policy.oom_retry_max else None
    if smaller is None:
        return _Step(Disposition.FAIL, obstacle=_NOTHING_LEFT)
    nodes = elsewhere(context).get("exclude_nodes")
    changes = {**smaller, "exclude_nodes": nodes} if nodes else smaller
    return _Step(Disposition.RETRY_ELSEWHERE, changes, "elsewhere, with smaller batches")


def _ladder(code: FailureCode, retry: int, policy: Policy, context: DecisionContext) -> _Step:
    steps = ladder_changes(context, code)
    if retry >= len(steps):
        return _Step(Disposition.FAIL, obstacle=_NOTHING_LEFT)
    step, changes = steps[retry]
    told = ", ".join(f"{name}={value}" for name, value in changes.items())
    if not step.result_neutral and not policy.allow_result_affecting:
        return _Step(
            Disposition.FAIL,
            obstacle=f"the next step ({told}) can change spikes and was not allowed; submit again "
            "with execution.allow_result_affecting=true to allow it, or with that step itself",
        )
    return _Step(Disposition.RETRY_SCALED, merged(context, sorter_params=changes), f"with {told}")


_ANSWERS: Mapping[str, _Answer] = {
    "gpu_memory": _gpu_memory,
    "host_memory": _host_memory,
    "gpu_thermal": _elsewhere,
    "gpu_fault": _gpu_fault,
    "disk": _disk,
    "io_stall": _elsewhere,
    "timeout": _elsewhere,
    "internal": _same,
    "parameters": _ladder,
    "infrastructure": _same,
    "lost_node": _elsewhere,
    "queue": _same,
    "never_started": _same,
    "incomplete": _same,
    "input": _same,
    "still_written": _same,
    "storage": _same,
    "lease": _requeue,
}

# What a spent budget means: most causes end the run as failed; a bad input or a sort that stalls
# twice is given up, and what the facility must repair is held for a person.
_WHEN_SPENT: Mapping[str, Disposition] = {
    "input": Disposition.SKIP,
    "still_written": Disposition.SKIP,
    "timeout": Disposition.SKIP,
    "storage": Disposition.HOLD,
    "disk": Disposition.HOLD,
    "lease": Disposition.HOLD,
}


# Every retry that the answers above may give, by budget; the others give RETRY_SAME.
_RETRIES: Mapping[str, frozenset[Disposition]] = {
    "gpu_memory": frozenset({Disposition.RETRY_SCALED}),
    "host_memory": frozenset({Disposition.RETRY_SCALED, Disposition.HOLD}),
    "gpu_thermal": frozenset({Disposition.RETRY_ELSEWHERE}),
    "gpu_fault": frozenset({Disposition.RETRY_ELSEWHERE}),
    "disk": frozenset({Disposition.RETRY_SCALED, Disposition.RETRY_SAME}),
    "io_stall": frozenset({Disposition.RETRY_ELSEWHERE}),
    "timeout": frozenset({Disposition.RETRY_ELSEWHERE}),
    "parameters": frozenset({Disposition.RETRY_SCALED}),
    "infrastructure": frozenset({Disposition.RETRY_SAME, Disposition.RETRY_ELSEWHERE}),
    "lease": frozenset({Disposition.REQUEUE}),
}


def possible_actions(code: FailureCode) -> frozenset[Disposition]:
    """Return every action that ``decide`` may answer a failure of this code with."""
    budget = BUDGET_OF.get(code, "")
    if not budget:
        return frozenset({BY_CODE[code].disposition})
    retries = _RETRIES.get(budget, frozenset({Disposition.RETRY_SAME}))
    return retries | {_WHEN_SPENT.get(budget, Disposition.FAIL)}


def is_mended_by_release(code: FailureCode) -> bool:
    """Say whether a person who releases a lane has repaired this cause, so that it starts again.

    Who releases a sort that had the most memory has allowed it more.
    """
    budget = BUDGET_OF.get(code, "")
    return budget == "host_memory" or _WHEN_SPENT.get(budget) is Disposition.HOLD


def decide(
    failure: Failure,
    history: Sequence[PastAttempt],
    policy: Policy,
    context: DecisionContext,
) -> Decision:
    """Decide what follows ``failure``.

    ``history`` holds the earlier failed attempts of the same stage, oldest first, without the one
    that just ended. The same arguments always give the same decision.
    """
    reason_said = str(failure.evidence.get("reason") or "")
    code, budget = failure.code, budget_of(failure.code, reason_said)
    if not budget:
        action = failure.row.disposition
        return _final(action, f"{failure.category}.{action}", failure, history, policy)
    if budget == "input" and failure.evidence.get("digest_verified") is True:
        return _final(Disposition.SKIP, "input.verified", failure, history, policy)
    retry, limit = used(history, budget), policy.limit(budget)
    spent = _WHEN_SPENT.get(budget, Disposition.FAIL)
    larger = larger_gpu(context) if budget == "gpu_memory" else None
    if retry >= limit and larger is None:
        reason = f"{retry} of {limit} retries for this cause are used up"
        return _final(spent, f"{budget}.spent", failure, history, policy, reason)
    answer = _ANSWERS["lost_node" if reason_said == _NODE_LOST else budget]
    step = answer(code, retry, policy, context)
    if step.at_largest:
        held = _final(
            step.action, f"{budget}.{AT_LARGEST}", failure, history, policy, step.obstacle
        )
        return replace(held, changes=step.changes)
    if step.obstacle:
        return _final(spent, f"{budget}.no_step", failure, history, policy, step.obstacle)
    return Decision(
        action=step.action,
        rule_id=f"{budget}.{step.action}",
        reason=f"{failure.message} Retry {retry + 1} of {max(limit, retry + 1)} for this cause, "
        f"{step.how}.",
        delay_s=_delay_s(budget, retry, policy, step.action),
        changes=step.changes,
        result_affecting=affects_result(step.changes, context),
        budgets_left=left(history, policy, spending=budget),
    )


def _final(
    action: Disposition,
    rule_id: str,
    failure: Failure,
    history: Sequence[PastAttempt],
    policy: Policy,
    reason: str = "",
) -> Decision:
    why = f"{failure.message} No retry: {reason}." if reason else failure.message
    return Decision(action, rule_id, why, budgets_left=left(history, policy))


def _delay_s(budget: str, retry: int, policy: Policy, action: Disposition) -> float:
    """Waiting brings room or a whole file; a retry that gets more does not need it."""
    if budget == "gpu_thermal":
        return policy.cooldown_s
    pauses_s = {"still_written": policy.writing_pause_s, "disk": policy.room_pause_s}
    is_scaled = action is Disposition.RETRY_SCALED
    base_s = policy.base_delay_s if is_scaled else pauses_s.get(budget, policy.base_delay_s)
    return float(min(policy.max_delay_s, base_s * 2.0**retry))
