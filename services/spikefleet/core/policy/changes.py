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
from spikefleet.core.policy.sizes import SizeRange, larger_gpu_class
from spikefleet.core.sorters.catalogue import backend_of
from spikefleet.core.sorters.row import BatchKnob, LadderStep


@dataclass(frozen=True)
class DecisionContext:
    """What the failed attempt was.

    ``params`` are the changes it ran with, ``config`` is the run's resolved document, ``ladder``
    the backend's steps, ``node`` where it ran ("" on a single machine). ``memory_limit_bytes``,
    ``scratch_bytes`` and ``gpu_class_had`` are what it really had; ``allowed`` is what the facility
    lets an attempt of this sorter have by now, where it says so.
    """

    stage: str = "sort"  #: what it executed
    params: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    ladder: tuple[LadderStep, ...] = ()
    memory_limit_bytes: int = 0
    scratch_bytes: int = 0
    node: str = ""
    allowed: SizeRange = field(default_factory=SizeRange)
    gpu_class_had: str = ""

    @property
    def gpu_class(self) -> str:
        """The size of the GPU it had; "" is the smallest, or the only one."""
        return self.gpu_class_had or str(self.params.get("gpu_class") or "")

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
    """Return changes with more memory, else half the workers, else a neutral step, else None."""
    limit = context.memory_limit_bytes
    if not context.allowed.memory_bytes:
        limit = int(context.params.get("memory_limit_bytes") or limit)
    most = context.allowed.most_memory_bytes or policy.memory_cap_bytes
    if limit and limit < most:
        raised = min(most, int(limit * policy.memory_factor))
        return merged(context, memory_limit_bytes=raised)
    workers = int(context.params.get("n_jobs") or execution_of(context.config).n_jobs)
    if workers > 1:
        return merged(context, n_jobs=workers // 2)
    for step, changes in ladder_changes(context, FailureCode.HOST_MEMORY_WATCHDOG):
        had = context.params.get("sorter_params") or {}
        if step.result_neutral and any(had.get(name) != to for name, to in changes.items()):
            return merged(context, sorter_params=changes)
    return None


def more_scratch(context: DecisionContext, policy: Policy) -> dict[str, Any] | None:
    """Return changes with a larger scratch claim; None where none is known, or none larger."""
    claim, most = scratch_claim(context), context.allowed.most_scratch_bytes
    larger = int(claim * policy.scratch_factor)
    larger = min(larger, most) if most else larger
    return merged(context, scratch_bytes=larger) if larger > claim else None


def scratch_claim(context: DecisionContext) -> int:
    """Return the size of the scratch volume that the attempt had; 0 where it had none."""
    if context.allowed.scratch_bytes:
        return context.scratch_bytes
    return int(context.params.get("scratch_bytes") or context.scratch_bytes)


def larger_gpu(context: DecisionContext) -> dict[str, Any] | None:
    """Return changes with the next larger GPU class; None where there is none."""
    name = larger_gpu_class(context.allowed, context.gpu_class)
    return merged(context, gpu_class=name) if name else None


def beyond_the_largest(context: DecisionContext, policy: Policy, cause: str) -> dict[str, Any]:
    """Return changes that ask for more than is allowed now, for when a person has allowed more."""
    if cause == "disk":
        more = int(scratch_claim(context) * policy.scratch_factor)
        return merged(context, scratch_bytes=more)
    return merged(
        context, memory_limit_bytes=int(context.memory_limit_bytes * policy.memory_factor)
    )


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
