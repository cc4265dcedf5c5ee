"""What a cluster says of a pod's end, as rows of the failure table.

The text is ``Reason`` or ``Reason: message`` as Kubernetes gives them for a container, a pod or a
condition. Own limits and the node's troubles share the reason ``Evicted``; only the message tells
them apart. Reads words; asks no cluster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure


@dataclass(frozen=True)
class OutsideReason:
    """One reason of a cluster: ``pattern`` is matched at the start of the text."""

    name: str
    pattern: str
    code: FailureCode
    message: str


_MEMORY = "The kernel killed the attempt because its memory limit was reached."
_DISRUPTED = "The machine was taken away under the attempt."
_IMAGE = "The sorter's image could not be pulled."
_CONFIG = "The pod refers to something the cluster does not have."
_NOT_STARTED = "The node refused the pod before it started."
_OWN_LIMIT = "The attempt wrote more than its scratch limit and was evicted."
_DEADLINE = "The attempt passed its deadline."

REASONS: tuple[OutsideReason, ...] = (
    OutsideReason("oom_killed", r"OOMKilled\b", FailureCode.HOST_OUT_OF_MEMORY, _MEMORY),
    OutsideReason(
        "ephemeral_limit",
        r"(?s)Evicted\b.*(?:exceeds the (?:total )?limit|exceeded its local ephemeral storage)",
        FailureCode.DISK_EXHAUSTION,
        _OWN_LIMIT,
    ),
    OutsideReason("evicted", r"Evicted\b", FailureCode.DISRUPTED, _DISRUPTED),
    OutsideReason(
        "disruption",
        r"DisruptionTarget\b|PreemptionByScheduler\b|EvictionByEvictionAPI\b|"
        r"DeletionByTaintManager\b|DeletionByPodGC\b|TerminationByKubelet\b|Preempt(?:ed|ing)\b|"
        r"NodeLost\b|NodeShutdown\b|Shutdown\b|Terminated\b",
        FailureCode.DISRUPTED,
        _DISRUPTED,
    ),
    OutsideReason(
        "admission",
        r"OutOf(?:cpu|memory|pods|ephemeral-storage|nvidia\.com/gpu)\b|UnexpectedAdmissionError\b|"
        r"NodeAffinity\b|Unschedulable\b",
        FailureCode.NEVER_STARTED,
        _NOT_STARTED,
    ),
    OutsideReason("deadline", r"DeadlineExceeded\b", FailureCode.DEADLINE, _DEADLINE),
    OutsideReason(
        "image_pull_failed",
        r"ImagePullBackOff\b|ErrImagePull\b|InvalidImageName\b|ErrImageNeverPull\b",
        FailureCode.DOCKER_ENVIRONMENT,
        _IMAGE,
    ),
    OutsideReason(
        "config_error",
        r"CreateContainerConfigError\b|CreateContainerError\b",
        FailureCode.DOCKER_ENVIRONMENT,
        _CONFIG,
    ),
)


def from_reason(reason: str) -> Failure | None:
    """Return the failure a cluster's reason names; None for a reason that explains nothing."""
    for row in REASONS:
        if re.match(row.pattern, reason):
            evidence = {"reason": row.name, "said": reason[:400]}
            return Failure(
                row.code,
                row.message,
                stage="sort",
                rule_id=f"outside.{row.name}",
                evidence=evidence,
            )
    return None
