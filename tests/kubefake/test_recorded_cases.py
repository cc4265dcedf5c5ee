"""The fake held to reality: recorded cases are played again, and what is seen is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
from kubernetes import client

from tests.kubefake.cluster import NAMESPACE, KubeFake
from tests.kubefake.recorded_cases import CASES, Trace, make_trace, read_case
from tests.kubefake.script import Eviction, Exit, OnSigterm, Script, Waiting

Act = Callable[[KubeFake], None]


@dataclass(frozen=True)
class Play:
    """How a case is played: what its pods do, what befalls them, and how long it lasts.

    ``acts`` are (seconds, what is done). An empty script ends as the recorded container did.
    """

    scripts: tuple[Script, ...] = ()
    acts: tuple[tuple[float, Act], ...] = ()
    lasts_s: float = 30.0


def _only_pod(fake: KubeFake) -> str:
    return str(fake.pods_of("attempt")[-1]["metadata"]["name"])


def _delete(grace_s: int | None = None) -> Act:
    return lambda fake: fake.delete_pod(_only_pod(fake), grace_s)


def _evict(fake: KubeFake) -> None:
    body = {"metadata": {"name": _only_pod(fake)}}
    client.CoreV1Api(fake.client()).create_namespaced_pod_eviction(_only_pod(fake), NAMESPACE, body)


def _patch(change: Mapping[str, object]) -> Act:
    return lambda fake: (
        client.BatchV1Api(fake.client()).patch_namespaced_job("attempt", NAMESPACE, change),
        None,
    )[1]


def _delete_job(policy: str | None) -> Act:
    def act(fake: KubeFake) -> None:
        api = client.BatchV1Api(fake.client())
        more = {"propagation_policy": policy} if policy else {}
        api.delete_namespaced_job("attempt", NAMESPACE, **more)

    return act


RUNS = Script(runs_s=None)
IGNORES = Script(runs_s=None, on_sigterm=None)


def _stays(code: int, message: str = "", after_s: float = 0.3) -> Script:
    return Script(runs_s=None, on_sigterm=OnSigterm(Exit(code, message), after_s))


ENDS = Play()
DELETED = Play(acts=((5.0, _delete()),))
EVICTED = Play(acts=((5.0, _evict),))
LIMIT = Play()
WAITS = Play(lasts_s=25.0)
COVERED: Mapping[str, Play] = {
    **dict.fromkeys(
        (
            "exit-0",
            "exit-0-with-message",
            "exit-1",
            "exit-107-message",
            "exit-134-abort-child",
            "exit-137-self",
            "exit-139-abort-pid1",
            "exit-139-segv",
            "exit-255",
            "exit-80-empty-message",
            "exit-80-message",
            "fallback-logs",
            "fallback-logs-both",
            "fallback-logs-exit-0",
            "fallback-logs-long",
            "message-over-4096",
            "oom-child-exit-0",
            "oom-child-exit-106-message",
            "oom-child-exit-137",
            "oom-main",
            "policy-failjob-80",
            "policy-failjob-97",
            "policy-oom",
            "start-error-exec-format",
            "start-error-other-arch",
            "start-error-no-binary",
            "start-error-not-executable",
            "evict-emptydir-limit",
            "evict-ephemeral-container",
            "evict-ephemeral-pod",
            "deadline-job",
            "deadline-job-slow-handler",
            "deadline-pod",
            "deadline-pod-ignores-sigterm",
        ),
        ENDS,
    ),
    **dict.fromkeys(
        (
            "delete-pod-exit-0",
            "delete-pod-exit-113",
            "delete-pod-no-handler",
            "delete-pod-sigkill-137",
            "policy-delete-exit-0",
        ),
        DELETED,
    ),
    "delete-pod-force": Play((IGNORES,), ((5.0, _delete(0)),)),
    "delete-pod-pending": DELETED,
    "policy-count-100": Play(lasts_s=60.0),
    **dict.fromkeys(
        (
            "evict-api",
            "evict-api-exit-0",
            "evict-api-slow-handler",
            "policy-evict-exit-0-late",
            "policy-ignore-disruption-code-80",
        ),
        EVICTED,
    ),
    **dict.fromkeys(
        (
            "config-missing-configmap",
            "config-missing-key",
            "config-missing-secret",
            "config-non-root",
            "create-error-no-command",
            "image-invalid-name",
            "image-never",
            "image-unreachable",
            "unschedulable-gpu",
            "unschedulable-memory",
            "unschedulable-selector",
        ),
        WAITS,
    ),
    "job-suspend-resume": Play(
        (_stays(113), Script()),
        ((5.0, _patch({"spec": {"suspend": True}})), (15.0, _patch({"spec": {"suspend": False}}))),
        lasts_s=40.0,
    ),
    "job-ttl": Play((Script(runs_s=3.0),)),
    "job-success-then-late-delete": Play((Script(runs_s=3.0),), acts=((15.0, _delete()),)),
    "job-delete-default": Play((RUNS,), ((5.0, _delete_job(None)),)),
    "job-delete-orphan": Play((RUNS,), ((5.0, _delete_job("Orphan")),)),
    "job-delete-background": Play((_stays(113),), ((5.0, _delete_job("Background")),)),
    "job-delete-foreground": Play((_stays(113),), ((5.0, _delete_job("Foreground")),)),
    "delete-pod-backoff-1": Play((), ((5.0, _delete()),), lasts_s=40.0),
    "policy-delete-exit-113": Play((), ((5.0, _delete()),), lasts_s=40.0),
    "policy-ignore-disruption": Play((), ((5.0, _evict),), lasts_s=40.0),
}

_NODES = "several Jobs and a node in trouble: read from the recordings by the launcher's own tests"
_SIDECARS = "more than one container: only their ends are scripted, not their own lives"
_RESTARTS = "restartPolicy OnFailure or Always: our Jobs never restart a container in place"
_BARE = "a pod without a Job, bound by hand"
_SERVER = "the API server's own faults: played by the proxy"
_HTTP = "answers to single requests: held by the tests of the server"
_ADMISSION = "admission by a plug-in that the fake does not have"
NOT_COVERED: Mapping[str, str] = {
    **dict.fromkeys(
        ("node-lost", "node-lost-all-nodes", "node-lost-force-delete", "node-deleted"), _NODES
    ),
    **dict.fromkeys(("evict-node-disk", "evict-node-memory", "node-cordoned"), _NODES),
    **dict.fromkeys(("kubelet-restart", "kubelet-restart-under-pressure"), _NODES),
    **dict.fromkeys(("taint-noexecute", "preempted", "preempted-policy-ignore"), _NODES),
    **dict.fromkeys(("sidecar-native", "sidecar-native-main-fails", "sidecar-plain"), _SIDECARS),
    **dict.fromkeys(("evict-ephemeral-one-container", "message-12k-shared"), _SIDECARS),
    "init-failure": "init containers: our pods have none",
    **dict.fromkeys(
        ("job-restart-onfailure", "pod-restart-onfailure", "start-error-on-failure"), _RESTARTS
    ),
    **dict.fromkeys(
        (
            "admission-gpu-ignored",
            "admission-nodeaffinity",
            "admission-outofcpu",
            "admission-outofmemory",
            "finalizer-stuck",
        ),
        _BARE,
    ),
    **dict.fromkeys(
        (
            "apiserver-hung",
            "apiserver-killed",
            "apiserver-starting-403",
            "apiserver-terminated",
            "etcd-hung",
        ),
        _SERVER,
    ),
    **dict.fromkeys(
        (
            "http-403-rbac",
            "http-409-conflict",
            "http-409-exists",
            "http-422-immutable",
            "http-list-limit-continue",
            "http-watch",
        ),
        _HTTP,
    ),
    **dict.fromkeys(("http-403-podsecurity", "limitrange-refused"), _ADMISSION),
    "missing-serviceaccount": _ADMISSION,
    "quota-refused": "several Jobs under one quota: held by a test of its own",
    "evict-api-pdb": "the fake has no PodDisruptionBudget",
    "deadline-job-unschedulable": "as unschedulable-gpu and deadline-job together",
    "job-created-suspended": "as job-suspend-resume",
    "job-indexed-two-pods": "two pods of one Job: our Jobs have one",
    "scheduler-and-job-controller-away": "nothing happens, which is nothing to compare",
    "scheduling-gated": "no gates in our pods",
    **dict.fromkeys(
        ("config-fixed-later", "image-fixed-later", "pvc-missing"),
        "how long something was missing is a matter of the recording",
    ),
    **dict.fromkeys(
        ("oom-emptydir-memory", "readonly-rootfs", "fsgroup-and-uid", "create-error-bad-mount"),
        "volumes of its own in the manifest, ends as oom-main, exit-80 and start-error do",
    ),
}


def _script_of(recorded: Trace, number: int) -> Script:
    """What the recorded container did, as a script: its end, its waiting, its eviction."""
    pod = recorded.pods[min(number, len(recorded.pods) - 1)]
    told = pod.ended[-1] if pod.ended else {}
    how = Exit(told.get("exitCode", 0), told.get("message", ""), told.get("reason", ""))
    stopped = pod.deleted or pod.reason in ("Evicted", "DeadlineExceeded")
    handler = None if how.code == 137 and how.reason == "Error" else OnSigterm(how, 0.3)
    trouble = sorted(pod.waiting - {"ContainerCreating"})
    if how.reason == "StartError":
        return Script(start_error=how.message)
    if trouble:
        why = "ImagePullBackOff" if "ImagePullBackOff" in trouble else trouble[0]
        return Script(waiting=Waiting(why, "in words that are not compared"))
    if pod.reason == "Evicted":
        eviction = Eviction(5.0, "words")
        return Script(runs_s=None, eviction=eviction, on_sigterm=handler)
    return Script(runs_s=None if stopped or not told else 3.0, exit=how, on_sigterm=handler)


def _play(name: str) -> tuple[Trace, Trace]:
    applied, recorded = read_case(name)
    play = COVERED[name]
    with KubeFake() as fake:
        listed = play.scripts or tuple(
            _script_of(recorded, number) for number in range(len(recorded.pods))
        )
        fake.scripts["attempt"] = list(listed)
        for document in applied:
            if document["kind"] == "Job":
                client.BatchV1Api(fake.client()).create_namespaced_job(NAMESPACE, document)
        now_s = 0.0
        for at_s, act in play.acts:
            fake.advance(at_s - now_s)
            act(fake)
            now_s = at_s
        fake.advance(play.lasts_s - now_s)
        return recorded, make_trace((one.kind, one.document) for one in fake.store.history)


needs_recordings = pytest.mark.skipif(
    not CASES.is_dir(), reason=f"no recordings of a real cluster at {CASES}"
)


@needs_recordings
def test_every_recorded_case_is_played_or_says_why_not() -> None:
    recorded = {case.parent.name for case in CASES.glob("*/case.json")}
    assert set(COVERED) | set(NOT_COVERED) == recorded
    assert not set(COVERED) & set(NOT_COVERED)


@needs_recordings
@pytest.mark.parametrize("name", sorted(COVERED))
def test_pods_of_the_fake_live_and_die_as_the_recorded_ones(name: str) -> None:
    recorded, played = _play(name)
    assert len(played.pods) == len(recorded.pods)
    for real, ours in zip(recorded.pods, played.pods, strict=True):
        assert ours.phases == real.phases
        assert ours.reason == real.reason
        assert ours.deleted == real.deleted
        assert ours.ended == real.ended
        assert ours.waiting == real.waiting
        assert set(ours.conditions) == set(real.conditions)


@needs_recordings
@pytest.mark.parametrize("name", sorted(COVERED))
def test_jobs_of_the_fake_get_the_recorded_conditions_in_order(name: str) -> None:
    recorded, played = _play(name)
    assert set(played.jobs) == set(recorded.jobs)
    for job, real in recorded.jobs.items():
        assert played.jobs[job].conditions == real.conditions
        assert played.jobs[job].deleted == real.deleted
        if not real.deleted:  # what a Job that goes still counted was recorded one way and another
            assert played.jobs[job].counters == real.counters


@needs_recordings
@pytest.mark.parametrize("name", sorted(COVERED))
def test_statuses_of_the_fake_have_the_recorded_shape(name: str) -> None:
    recorded, played = _play(name)
    for real, ours in zip(recorded.pods, played.pods, strict=True):
        assert ours.shape == real.shape
    for job, found in recorded.jobs.items():
        if not found.deleted:
            assert played.jobs[job].shape == found.shape
