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
from spikefleet.core.failures.evidence import JsonValue


@dataclass(frozen=True)
class OutsideReason:
    """One row: the reason begins with one of ``words``, and its message holds ``holds``.

    ``names`` says in words what that is.
    """

    name: str
    words: tuple[str, ...]
    code: FailureCode
    message: str
    holds: str = ""
    names: str = ""


_MEMORY = "The kernel killed the attempt because its memory limit was reached."
_DISRUPTED = "The machine was taken away under the attempt."
_IMAGE = "The sorter's image could not be pulled."
_CONFIG = "The pod refers to something the cluster does not have."
_NOT_STARTED = "The node refused the pod before it started."
_OWN_LIMIT = "The attempt wrote more than its scratch limit and was evicted."
_DEADLINE = "The attempt passed its deadline."
_QUEUE = "The queue gave the attempt's place to another sort."
_REFUSED = "The cluster refuses the pod of this sort."
_CLAIM = "The volume that the sort should use for scratch is not there."
_START = "The program of the image could not be started."
_NODE_LOST = "The node of the attempt is not heard of any more."
_VANISHED = "The node lost sight of the attempt's container."
_SANDBOX = "The node could not prepare the pod."

REASONS: tuple[OutsideReason, ...] = (
    OutsideReason("oom_killed", ("OOMKilled",), FailureCode.HOST_OUT_OF_MEMORY, _MEMORY),
    OutsideReason("preempted_by_queue", ("JobSuspended",), FailureCode.DISRUPTED, _QUEUE),
    OutsideReason("node_lost", ("NodeLost",), FailureCode.DISRUPTED, _NODE_LOST),
    OutsideReason(
        "ephemeral_limit",
        ("Evicted",),
        FailureCode.DISK_EXHAUSTION,
        _OWN_LIMIT,
        r"exceeds the (?:total )?limit|exceeded its local ephemeral storage",
        "a limit of the pod's own",
    ),
    OutsideReason(
        "admission_refused",
        ("Evicted: Pod was rejected",),
        FailureCode.NEVER_STARTED,
        _NOT_STARTED,
    ),
    OutsideReason("evicted", ("Evicted",), FailureCode.DISRUPTED, _DISRUPTED),
    OutsideReason(
        "disruption",
        (
            "DisruptionTarget",
            "PreemptionByScheduler",
            "EvictionByEvictionAPI",
            "DeletionByTaintManager",
            "DeletionByPodGC",
            "TerminationByKubelet",
            "Preempted",
            "Preempting",
            "NodeShutdown",
            "Shutdown",
            "Terminated",
        ),
        FailureCode.DISRUPTED,
        _DISRUPTED,
    ),
    OutsideReason(
        "scratch_claim",
        ("Unschedulable",),
        FailureCode.ENVIRONMENT_OTHER,
        _CLAIM,
        r"persistentvolumeclaim .* not found|unbound immediate PersistentVolume",
        "a volume claim that is not there",
    ),
    OutsideReason(
        "admission",
        ("OutOf", "UnexpectedAdmissionError", "NodeAffinity", "Unschedulable"),
        FailureCode.NEVER_STARTED,
        _NOT_STARTED,
    ),
    OutsideReason("deadline", ("DeadlineExceeded",), FailureCode.DEADLINE, _DEADLINE),
    OutsideReason(
        "image_pull_failed",
        (
            "ImagePullBackOff",
            "ErrImagePull",
            "ErrImageNeverPull",
            "InvalidImageName",
            "ImageInspectError",
        ),
        FailureCode.DOCKER_ENVIRONMENT,
        _IMAGE,
    ),
    OutsideReason(
        "config_error",
        ("CreateContainerConfigError", "CreateContainerError"),
        FailureCode.DOCKER_ENVIRONMENT,
        _CONFIG,
    ),
    OutsideReason(
        "start_error",
        ("StartError", "ContainerCannotRun", "RunContainerError", "CrashLoopBackOff"),
        FailureCode.DOCKER_ENVIRONMENT,
        _START,
    ),
    OutsideReason("pod_refused", ("FailedCreate:",), FailureCode.ENVIRONMENT_OTHER, _REFUSED),
    OutsideReason(
        "volume_missing",
        ("FailedMount", "FailedAttachVolume"),
        FailureCode.ENVIRONMENT_OTHER,
        _CONFIG,
    ),
    OutsideReason(
        "sandbox_failed", ("FailedCreatePodSandBox",), FailureCode.NEVER_STARTED, _SANDBOX
    ),
    OutsideReason(
        "container_vanished",
        ("ContainerStatusUnknown", "ContainerUnknown"),
        FailureCode.LOST,
        _VANISHED,
    ),
)


def from_reason(reason: str) -> Failure | None:
    """Return the failure a cluster's reason names; None for a reason that explains nothing."""
    for row in REASONS:
        if reason.startswith(row.words) and (not row.holds or re.search(row.holds, reason)):
            evidence: dict[str, JsonValue] = {"reason": row.name, "said": reason[:400]}
            rule_id = f"outside.{row.name}"
            return Failure(row.code, row.message, "sort", rule_id, evidence)
    return None
