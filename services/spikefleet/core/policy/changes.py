"""What the next attempt does differently: batches, memory, scratch, node, ladder steps.

Changes are cumulative: they hold everything in which the next attempt differs from the run's own
configuration, so an attempt repeated for another reason keeps them. Pure functions.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikefleet.core.config.sorting import execution_of
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.policy.budgets import Policy
from spikefleet.core.sorters.catalogue import backend_of
from spikefleet.core.sorters.row import BatchKnob, LadderStep


@dataclass(frozen=True)
class DecisionContext:
    """What the failed attempt was.

    ``params`` are the changes it ran with, ``config`` is the run's resolved document, ``ladder``
    the backend's steps, ``node`` where it ran ("" on a single machine).
    """

    stage: str = "sort"
    params: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    ladder: tuple[LadderStep, ...] = ()
    memory_limit_bytes: int = 0
    scratch_bytes: int = 0
    node: str = ""

    @property
    def sorter_params(self) -> dict[str, Any]:
        """The sorter's parameters of the failed attempt: the run's, with its changes on top."""
        own = self.config.get("sorter", {}).get("sorter_params") or {}
        return {**own, **(self.params.get("sorter_params") or {})}


def merged(context: DecisionContext, **new: Any) -> dict[str, Any]:
    """Return the failed attempt's changes with new ones on top; sorter parameters merge."""
    changes = copy.deepcopy(dict(context.params))
    params = {**(changes.get("sorter_params") or {}), **new.pop("sorter_params", {})}
    changes.update(new)
    if params:
        changes["sorter_params"] = params
    return changes


def smaller_batches(context: DecisionContext, policy: Policy) -> dict[str, Any] | None:
    """Return changes with the batch scaled down, or None when there is no smaller one.

    Result-neutral ladder steps for GPU memory are taken along; the others need the policy's leave.
    """
    steps: dict[str, Any] = {}
    for step in context.ladder:
        if step.cause == FailureCode.GPU_OUT_OF_MEMORY and step.result_neutral:
            steps.update(step.changes)
    knob = _knob(context)
    current = context.sorter_params
    if knob is not None:
        batch = int(knob.samples(current) * policy.oom_retry_factor)
        if batch < knob.smallest:
            return None
        steps[knob.name] = batch
    if all(current.get(name) == value for name, value in steps.items()):
        return None
    return merged(context, sorter_params=steps)


def _knob(context: DecisionContext) -> BatchKnob | None:
    return backend_of(str(context.config.get("sorter", {}).get("sorter_name", ""))).batch


def ladder_changes(
    context: DecisionContext, cause: FailureCode
) -> list[tuple[LadderStep, dict[str, Any]]]:
    """Return the backend's steps for ``cause``, each with the sorter parameters it sets.

    A step never makes batches larger than they are. Steps that would leave the run's own
    configuration as it is are left out, so that no retry repeats the failed attempt.
    """
    own = context.config.get("sorter", {}).get("sorter_params") or {}
    knob = _knob(context)
    steps = []
    for step in context.ladder:
        changes = dict(step.changes)
        if step.cause != cause:
            continue
        if knob is not None and knob.name in changes:
            used = knob.samples(own)
            if used <= changes[knob.name]:
                del changes[knob.name]
            else:
                now = knob.samples(context.sorter_params)
                changes[knob.name] = min(changes[knob.name], now)
        if any(own.get(name) != value for name, value in changes.items()):
            steps.append((step, changes))
    return steps


def more_memory(context: DecisionContext, policy: Policy) -> dict[str, Any] | None:
    """Return changes with a higher memory limit, else with half the workers, else None."""
    limit = int(context.params.get("memory_limit_bytes") or context.memory_limit_bytes)
    if limit and limit < policy.memory_cap_bytes:
        raised = min(policy.memory_cap_bytes, int(limit * policy.memory_factor))
        return merged(context, memory_limit_bytes=raised)
    workers = int(context.params.get("n_jobs") or execution_of(context.config).n_jobs)
    if workers > 1:
        return merged(context, n_jobs=workers // 2)
    return None


def more_scratch(context: DecisionContext, policy: Policy) -> dict[str, Any] | None:
    """Return changes with a larger scratch claim; None where no claim is known."""
    claim = int(context.params.get("scratch_bytes") or context.scratch_bytes)
    return merged(context, scratch_bytes=int(claim * policy.scratch_factor)) if claim else None


def elsewhere(context: DecisionContext) -> dict[str, Any]:
    """Return changes that avoid the node the attempt failed on."""
    if not context.node:
        return merged(context)
    nodes = sorted({*context.params.get("exclude_nodes", ()), context.node})
    return merged(context, exclude_nodes=nodes)


def affects_result(changes: Mapping[str, Any], context: DecisionContext) -> bool:
    """Whether any changed sorter parameter can change spikes: all but those of neutral steps."""
    neutral = {name for step in context.ladder if step.result_neutral for name in step.changes}
    return any(name not in neutral for name in changes.get("sorter_params") or {})


def apply_changes(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resolved configuration document with a decision's changes laid over it.

    Memory, scratch and node changes are the launcher's matter and leave the document alone.
    """
    document = copy.deepcopy(dict(config))
    if changes.get("sorter_params"):
        sorter = document.setdefault("sorter", {})
        sorter["sorter_params"] = {
            **(sorter.get("sorter_params") or {}),
            **changes["sorter_params"],
        }
    if changes.get("n_jobs"):
        document.setdefault("execution", {})["n_jobs"] = changes["n_jobs"]
    return document
