"""How pods die, in the words Kubernetes uses."""

import pytest

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.reading.cluster_reasons import REASONS, from_reason

F = FailureCode


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("OOMKilled", F.HOST_OUT_OF_MEMORY),
        ("Evicted: The node was low on resource: memory.", F.DISRUPTED),
        (
            "Evicted: Pod ephemeral local storage usage exceeds the total limit of containers 9Gi",
            F.DISK_EXHAUSTION,
        ),
        (
            'Evicted: Usage of EmptyDir volume "scratch" exceeds the limit "20Gi".',
            F.DISK_EXHAUSTION,
        ),
        ("DisruptionTarget: PreemptionByScheduler", F.DISRUPTED),
        ("TerminationByKubelet", F.DISRUPTED),
        ("NodeShutdown", F.DISRUPTED),
        ("NodeLost", F.DISRUPTED),
        ("NodeLost: node-a has not been heard of", F.DISRUPTED),
        ("JobSuspended: Job suspended", F.DISRUPTED),
        ("Evicted: Pod was rejected: The node had condition: [DiskPressure].", F.NEVER_STARTED),
        ("Evicted: the running pod was refused: The node had condition", F.DISRUPTED),
        ('Unschedulable: persistentvolumeclaim "a" not found', F.ENVIRONMENT_OTHER),
        ("Unschedulable: 0/1 nodes are available", F.NEVER_STARTED),
        ("StartError: no such file", F.DOCKER_ENVIRONMENT),
        ("FailedCreate: pods is forbidden", F.ENVIRONMENT_OTHER),
        ("FailedMount: secret not found", F.ENVIRONMENT_OTHER),
        ("FailedCreatePodSandBox: no address", F.NEVER_STARTED),
        ("ContainerStatusUnknown: gone", F.LOST),
        ("OutOfcpu", F.NEVER_STARTED),
        ("OutOfnvidia.com/gpu", F.NEVER_STARTED),
        ("UnexpectedAdmissionError: Allocate failed", F.NEVER_STARTED),
        ("DeadlineExceeded", F.DEADLINE),
        ("ImagePullBackOff: Back-off pulling image", F.DOCKER_ENVIRONMENT),
        ("ErrImagePull", F.DOCKER_ENVIRONMENT),
        ("CreateContainerConfigError: secret not found", F.DOCKER_ENVIRONMENT),
    ],
)
def test_a_reason_of_the_cluster_is_a_row_of_the_table(reason, code):
    failure = from_reason(reason)
    assert failure is not None
    assert failure.code is code
    assert failure.evidence["said"] == reason


@pytest.mark.parametrize(
    "reason", ["", "Error", "Completed", "the runner's parent is gone", "x" * 99]
)
def test_a_reason_that_explains_nothing_is_none(reason):
    assert from_reason(reason) is None


def test_names_are_single():
    assert len({row.name for row in REASONS}) == len(REASONS)
