"""Why an attempt does not run yet, from what a real cluster said, in words for its owner."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support.recorded_pods import need_recordings, sight

from spikefleet.core.attempts import WaitsFor
from spikefleet.infra.launchers.base import Phase
from spikefleet.infra.launchers.kubernetes.reading import Patience, read_attempt
from spikefleet.infra.launchers.kubernetes.waiting import (
    _CONFIG,
    _IMAGE,
    _VOLUME_EVENTS,
    needs_events,
    why_it_waits,
)

WORDS = [
    ("image-unreachable", "attempt", "its image cannot be fetched (ImagePullBackOff): Back-off"),
    ("image-never", "attempt", "its image cannot be fetched (ErrImageNeverPull): Container image"),
    ("image-invalid-name", "attempt", "its image cannot be fetched (InvalidImageName): Failed"),
    ("config-missing-secret", "attempt", 'its container cannot be made (CreateContainerConfigError'
     '): secret "nope" not found'),
    ("config-missing-key", "attempt", "its container cannot be made (CreateContainerConfigError): "
     "couldn't find key k in Secret"),
    ("config-non-root", "attempt", "its container cannot be made (CreateContainerConfigError): "
     "container has runAsNonRoot"),
    ("create-error-no-command", "attempt", "its container cannot be made (CreateContainerError)"),
    ("unschedulable-gpu", "attempt", "waits for a node with room for it: 1 Insufficient nvidia.com/"
     "gpu"),
    ("unschedulable-memory", "attempt", "waits for a node with room for it: 1 Insufficient memory"),
    ("unschedulable-selector", "attempt", "waits for a node with room for it: 1 node(s) didn't"),
    ("pvc-missing", "attempt", "its scratch claim is not there: 0/1 nodes are available: persist"),
    ("quota-refused", "gpu", "waits for room in the namespace's quota: lab, requested: requests."),
    ("quota-refused", "norequest", "the cluster refuses to make its pod: failed quota: lab: must"),
    ("limitrange-refused", "attempt", "the cluster refuses to make its pod: maximum memory usage"),
    ("http-403-podsecurity", "attempt", "the cluster refuses to make its pod: violates PodSecurit"),
    ("missing-serviceaccount", "attempt", "the cluster refuses to make its pod: error looking up"),
    ("missing-serviceaccount", "prio", "the cluster refuses to make its pod: no PriorityClass"),
    ("etcd-hung", "later", "waits for its turn in the cluster's queue"),
]  # fmt: skip
BY_ITSELF = {"unschedulable-gpu", "unschedulable-memory", "unschedulable-selector", "etcd-hung"}


@need_recordings
@pytest.mark.parametrize(("case", "job", "words"), WORDS)
def test_what_it_waits_for_is_said_in_words(case: str, job: str, words: str) -> None:
    seen = read_attempt(sight(case, job))
    assert seen.phase is Phase.PENDING
    assert seen.waiting.startswith(words)
    assert len(seen.waiting) <= 300
    assert "\n" not in seen.waiting


@need_recordings
@pytest.mark.parametrize(("case", "job", "words"), WORDS)
def test_what_only_a_person_can_repair_ends_after_ten_minutes_and_all_else_waits(
    case: str, job: str, words: str
) -> None:
    soon, late = (read_attempt(sight(case, job, later_s=s)) for s in (300.0, 7 * 86400.0))
    assert soon.phase is Phase.PENDING
    waits_on = case in BY_ITSELF or (case, job) == ("quota-refused", "gpu")
    assert late.phase is (Phase.PENDING if waits_on else Phase.EXITED)
    if not waits_on:
        assert late.waiting.startswith(words)
        assert late.reason


@need_recordings
def test_an_operator_may_limit_the_wait_for_room() -> None:
    look = replace(sight("unschedulable-gpu", later_s=100.0), patience=Patience(capacity_s=60.0))
    seen = read_attempt(look)
    assert seen.phase is Phase.EXITED
    assert seen.reason.startswith("Unschedulable: 0/1 nodes are available")


@need_recordings
@pytest.mark.parametrize(
    ("case", "job", "asks"),
    [
        ("quota-refused", "gpu", True),
        ("http-422-immutable", "unk", True),
        ("image-unreachable", "attempt", False),
        ("unschedulable-gpu", "attempt", False),
        ("etcd-hung", "later", False),
        ("exit-0", "attempt", False),
    ],
)
def test_events_are_asked_for_only_where_nothing_else_tells(
    case: str, job: str, asks: bool
) -> None:
    look = sight(case, job)
    assert needs_events(look.job, look.pod) is asks


def suspended(queue: str = "lab-a") -> dict[str, Any]:
    labels = {"kueue.x-k8s.io/queue-name": queue}
    return {"metadata": {"uid": "j", "labels": labels}, "spec": {"suspend": True}, "status": {}}


def workload(*conditions: dict[str, str], active: bool = True) -> dict[str, Any]:
    return {"spec": {"active": active}, "status": {"conditions": list(conditions)}}


def test_a_queue_says_by_its_own_words_why_it_lets_an_attempt_wait() -> None:
    said = {"type": "QuotaReserved", "status": "False", "message": "insufficient unused quota"}
    found = why_it_waits(suspended(), None, [], workload(said))
    assert found is not None
    assert found.words == "waits for its turn in the queue lab-a: insufficient unused quota"


def test_without_a_word_of_the_queue_its_name_is_told() -> None:
    found = why_it_waits(suspended(), None, [], None)
    assert found is not None
    assert found.words == "waits for its turn in the queue lab-a"


def test_a_queue_that_has_given_up_is_no_silent_dead_end() -> None:
    said = {"type": "Evicted", "status": "True", "message": "deactivated after 5 tries"}
    found = why_it_waits(suspended(), None, [], workload(said, active=False))
    assert found is not None
    assert "has put it aside" in found.words
    assert "deactivated after 5 tries" in found.words


def pending(waiting: str = "", message: str = "", *, unplaced: str = "") -> dict[str, Any]:
    """A pod that does not run: its container waits, or (``unplaced``) no node is its own."""
    placed = {"type": "PodScheduled", "status": "False" if unplaced else "True"}
    if unplaced:
        placed |= {"reason": unplaced, "message": message}
    state = {"waiting": {"reason": waiting, "message": message}} if waiting else {}
    return {
        "metadata": {"creationTimestamp": "2026-11-28T11:00:00Z"},
        "spec": {"nodeName": "" if unplaced else "node-a"},
        "status": {
            "phase": "Pending",
            "conditions": [placed],
            "containerStatuses": [{"name": "sorter", "state": state}],
        },
    }


OF_A_CONTAINER = [
    ("ErrImagePull", WaitsFor.IMAGE),
    ("ImagePullBackOff", WaitsFor.IMAGE),
    ("ErrImageNeverPull", WaitsFor.IMAGE),
    ("InvalidImageName", WaitsFor.IMAGE),
    ("ImageInspectError", WaitsFor.IMAGE),
    ("CreateContainerConfigError", WaitsFor.CONTAINER),
    ("CreateContainerError", WaitsFor.CONTAINER),
    ("RunContainerError", WaitsFor.CONTAINER),
    ("CrashLoopBackOff", WaitsFor.CONTAINER),
]


@pytest.mark.parametrize(("reason", "kind"), OF_A_CONTAINER)
def test_every_word_of_a_container_that_cannot_start_is_told_with_its_message(
    reason: str, kind: WaitsFor
) -> None:
    found = why_it_waits({"metadata": {}}, pending(reason, "as the kubelet says"), [], None)
    assert found is not None
    assert (found.kind, found.is_given_up) == (kind, True)
    assert found.words.endswith(f"({reason}): as the kubelet says")
    assert found.reason == f"{reason}: as the kubelet says"


def test_no_word_of_a_container_that_cannot_start_lacks_its_test() -> None:
    assert {reason for reason, _ in OF_A_CONTAINER} == _IMAGE | _CONFIG
    assert {reason for reason, _ in OF_A_NODE} == set(_VOLUME_EVENTS)


OF_A_NODE = [
    ("FailedMount", WaitsFor.VOLUME),
    ("FailedAttachVolume", WaitsFor.VOLUME),
    ("FailedCreatePodSandBox", WaitsFor.CONTAINER),
]


@pytest.mark.parametrize(("reason", "kind"), OF_A_NODE)
def test_every_word_of_a_node_that_cannot_prepare_a_pod_is_told(
    reason: str, kind: WaitsFor
) -> None:
    events = [{"reason": reason, "message": "the disk is elsewhere", "lastTimestamp": "1"}]
    found = why_it_waits({"metadata": {}}, pending("ContainerCreating"), events, None)
    assert found is not None
    assert (found.kind, found.is_given_up) == (kind, True)
    assert found.words == f"its node cannot prepare the pod: {reason}: the disk is elsewhere"


@pytest.mark.parametrize(
    ("reason", "message", "kind", "words", "is_given_up"),
    [
        (
            "Unschedulable",
            "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available",
            WaitsFor.NODE,
            "waits for a node with room for it: 2 Insufficient cpu",
            False,
        ),
        (
            "Unschedulable",
            "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
            WaitsFor.VOLUME,
            "its scratch claim is not there: 0/2 nodes are available: pod has unbound immediate "
            "PersistentVolumeClaims.",
            True,
        ),
        (
            "SchedulingGated",
            "Scheduling is blocked due to non-empty scheduling gates",
            WaitsFor.QUEUE,
            "waits for the cluster's leave to be placed on a node",
            False,
        ),
    ],
)
def test_a_pod_without_a_node_says_what_keeps_it_from_one(
    reason: str, message: str, kind: WaitsFor, words: str, is_given_up: bool
) -> None:
    found = why_it_waits({"metadata": {}}, pending(message=message, unplaced=reason), [], None)
    assert found is not None
    assert (found.kind, found.words, found.is_given_up) == (kind, words, is_given_up)
    assert found.reason == f"{reason}: {message}"


def test_a_pod_that_nobody_looked_at_yet_waits_for_the_cluster() -> None:
    fresh = {"metadata": {}, "spec": {}, "status": {"phase": "Pending"}}
    found = why_it_waits({"metadata": {}}, fresh, [], None)
    assert found is not None
    assert (found.kind, found.words) == (WaitsFor.NODE, "waits for the cluster to look for a node")


def test_a_job_without_a_pod_or_a_word_against_it_waits_for_its_pod() -> None:
    found = why_it_waits({"metadata": {}}, None, [], None)
    assert found is not None
    assert (found.kind, found.words) == (WaitsFor.POD, "waits for the cluster to make its pod")


def test_a_volume_that_cannot_be_mounted_is_told_by_its_newest_event() -> None:
    pod = pending("ContainerCreating")
    events = [
        {"reason": "FailedMount", "message": 'secret "lab-s3" not found', "lastTimestamp": "2"},
        {"reason": "FailedMount", "message": "older", "lastTimestamp": "1"},
    ]
    found = why_it_waits({"metadata": {}}, pod, events, None)
    assert found is not None
    assert found.words.endswith('FailedMount: secret "lab-s3" not found')
    assert found.is_given_up
    plain = why_it_waits({"metadata": {}}, pod, [], None)
    assert plain is not None
    assert (plain.words, plain.is_given_up) == ("is being prepared on node-a", False)


@need_recordings
def test_a_running_attempt_waits_for_nothing() -> None:
    look = sight("http-409-exists")
    assert why_it_waits(look.job, look.pod, [], None) is None
