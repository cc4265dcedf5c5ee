"""How often each cause may be answered with another attempt.

One budget per cause, counted over the whole history of a run's stage: a node taken away between
two out-of-memory failures neither resets nor spends their budget. Counts; decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spikefleet.core.config.execution import ExecutionConfig
from spikefleet.core.config.sorting import execution_of
from spikefleet.core.failures.codes import FailureCode

_F = FailureCode

BUDGET_OF: Mapping[FailureCode, str] = {
    _F.GPU_OUT_OF_MEMORY: "gpu_memory",
    _F.GPU_MEMORY_WATCHDOG: "gpu_memory",
    _F.HOST_OUT_OF_MEMORY: "host_memory",
    _F.HOST_MEMORY_WATCHDOG: "host_memory",
    _F.RESOURCE_OTHER: "host_memory",
    _F.GPU_THERMAL_WATCHDOG: "gpu_thermal",
    _F.GPU_FAULT: "gpu_fault",
    _F.DISK_EXHAUSTION: "disk",
    _F.IO_STALL: "io_stall",
    _F.SORTER_TIMEOUT: "timeout",
    _F.DEADLINE: "timeout",
    _F.SORTER_CRASH: "internal",
    _F.UNCLASSIFIED: "internal",
    _F.PARAMETER_SENSITIVE: "parameters",
    _F.ATTEMPT_INTERRUPTED: "infrastructure",
    _F.DISRUPTED: "infrastructure",
    _F.LOST: "infrastructure",
    _F.NEVER_STARTED: "never_started",
    _F.INCOMPLETE: "incomplete",
    _F.INPUT_CORRUPT: "input",
    _F.STORAGE_UNAVAILABLE: "storage",
    _F.CONCURRENT_SORT: "lease",
}


# The submitter's own settings keep the defaults of their group. Read off the fields: an instance
# would build the whole group's validator whenever the control plane starts.
_FIELDS = ExecutionConfig.model_fields

_STILL_WRITTEN = "still_written"
_QUEUE = "queue"
_PREEMPTED = "preempted_by_queue"


def budget_of(code: FailureCode, reason: str = "") -> str:
    """Return the budget that a failure draws on, "" for none.

    A file that a program still writes is not damaged: waiting repairs it, so it has a budget of its
    own and longer pauses. A queue that takes a place back is no trouble at all.
    """
    if code is FailureCode.DISRUPTED and reason == _PREEMPTED:
        return _QUEUE
    if code is FailureCode.INPUT_CORRUPT and reason == _STILL_WRITTEN:
        return _STILL_WRITTEN
    return BUDGET_OF.get(code, "")


@dataclass(frozen=True)
class Policy:
    """Limits (retries per cause, counts) and factors.

    ``oom_retry_max``, ``oom_retry_factor`` and ``allow_result_affecting`` are the submitter's own;
    the last lets retries take ladder steps that can change spikes.
    ``memory_cap_bytes`` 0 means that memory is not raised.
    """

    oom_retry_max: int = _FIELDS["oom_retry_max"].default
    oom_retry_factor: float = _FIELDS["oom_retry_factor"].default
    allow_result_affecting: bool = _FIELDS["allow_result_affecting"].default
    memory_factor: float = 1.5  #: how much more memory a retry gets
    memory_cap_bytes: int = 0
    scratch_factor: float = 2.0  #: how much more scratch
    base_delay_s: float = 2.0  #: first wait; doubles
    max_delay_s: float = 300.0  #: longest wait
    cooldown_s: float = 300.0  #: wait after a hot GPU
    writing_pause_s: float = 30.0  #: wait for a file that is still written
    room_pause_s: float = 60.0  #: wait for a room that does not answer
    #: retries by budget
    limits: Mapping[str, int] = field(
        default_factory=lambda: {
            "host_memory": 2,
            "gpu_thermal": 2,
            "gpu_fault": 2,
            "disk": 5,
            "io_stall": 1,
            "timeout": 1,
            "internal": 1,
            "parameters": 2,
            "infrastructure": 5,
            "queue": 1000,  # as often as the queue likes
            "never_started": 3,
            "incomplete": 1,
            "input": 1,
            "still_written": 12,
            "storage": 5,
            "lease": 20,
        }
    )

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **settings: Any) -> Policy:
        """Build a policy from a run's resolved configuration document and service settings."""
        execution = execution_of(config)
        return cls(
            oom_retry_max=execution.oom_retry_max,
            oom_retry_factor=execution.oom_retry_factor,
            allow_result_affecting=execution.allow_result_affecting,
            **settings,
        )

    def limit(self, budget: str) -> int:
        """Retries allowed from ``budget`` over the whole history of a stage."""
        return self.oom_retry_max if budget == "gpu_memory" else self.limits.get(budget, 0)


@dataclass(frozen=True)
class PastAttempt:
    """An earlier failed attempt of the same stage: its cause and the changes it ran with.

    ``reason`` is that of the failure's evidence, "" where it has none.
    """

    stage: str
    code: FailureCode
    params: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


def used(history: Sequence[PastAttempt], budget: str) -> int:
    """How many earlier failures drew on ``budget``."""
    return sum(1 for past in history if budget_of(past.code, past.reason) == budget)


def left(history: Sequence[PastAttempt], policy: Policy, spending: str = "") -> dict[str, int]:
    """Retries left per budget, after one more is spent from ``spending``; never negative."""
    names = sorted({*BUDGET_OF.values(), _STILL_WRITTEN, _QUEUE})
    return {
        name: max(0, policy.limit(name) - used(history, name) - (name == spending))
        for name in names
    }
