"""Copies of Jobs and hostile documents of pods: each costs its own attempt at most, and is told."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.attempt_documents import Documents
from tests.support.runner_profiles import CREATED, attempt, live, order, runners
from tests.support.scripted_api import EVENTS, JOBS, OWNER, PODS, Script, listing, scripted_api

from spikefleet.core.attempts import AttemptOutcome
from spikefleet.infra.launchers.base import LauncherUnreachableError, Phase
from spikefleet.infra.launchers.kubernetes.launcher import KubernetesLauncher
from spikefleet.infra.launchers.kubernetes.manifests import ATTEMPT_NAME, ATTEMPT_PREFIX
from spikefleet.infra.launchers.kubernetes.manifests import job_manifest as manifest_of
from spikefleet.infra.launchers.kubernetes.opening import open_kubernetes

SPEC = attempt()
PREFIX = SPEC.artifacts_prefix
OTHER = "run-2-sort-1"
SOUND = {"at": CREATED.timestamp(), "progress": {"step": "sort"}}
HOSTILE: list[Any] = [
    {"at": 1e30},
    {"at": -1e30},
    {"at": float("nan")},
    {"at": float("inf")},
    {"at": True},
    {"at": "yesterday"},
    {"readings": {"host_memory": {"oom_kills": "many"}}},
    {"progress": [[[]]], "at": None},
    ["no", "table"],
    "text",
]


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted_api() as made:
        made.on("GET", JOBS, listing())
        made.on("GET", PODS, listing())
        made.on("GET", EVENTS, listing())
        made.on("GET", OWNER, (200, {"metadata": {"uid": "owner-uid"}}))
        yield made


def job(name: str = SPEC.name, uid: str = "job-uid", **changes: Any) -> dict[str, Any]:
    made = live(manifest_of(order()), **changes)
    made["metadata"] |= {"name": name, "uid": uid}
    return made


def another() -> dict[str, Any]:
    made = job(OTHER, "other-uid")
    made["metadata"]["annotations"] |= {ATTEMPT_NAME: OTHER, ATTEMPT_PREFIX: "runs/run-2/sort-1"}
    return made


def pod(of: str = "job-uid", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": f"pod-of-{of}", "uid": f"p-{of}", "ownerReferences": [{"uid": of}]},
        "spec": {"nodeName": "node-a"},
        "status": {"phase": "Running", **status},
    }


def failed(of: str = "job-uid", code: Any = 137) -> dict[str, Any]:
    ended = {"terminated": {"exitCode": code, "startedAt": CREATED.isoformat()}}
    return pod(of, phase="Failed", containerStatuses=[{"name": "sorter", "state": ended}])


@pytest.mark.parametrize("heartbeat", HOSTILE, ids=repr)
def test_a_hostile_heartbeat_hides_no_attempt(
    launcher: KubernetesLauncher, script: Script, documents: Documents, heartbeat: Any
) -> None:
    documents.leave(PREFIX, "live", {"heartbeat": heartbeat})
    documents.leave("runs/run-2/sort-1", "live", {"heartbeat": SOUND})
    script.on("GET", JOBS, listing(job(), another()))
    away = {"type": "Ready", "status": "False", "lastTransitionTime": CREATED.isoformat()}
    running = [{"name": "sorter", "state": {"running": {}}}]
    hers = pod(conditions=[away], containerStatuses=running)
    script.on("GET", PODS, listing(hers, pod("other-uid")))
    seen = launcher.observe()
    assert seen[OTHER].heartbeat == SOUND
    assert seen[SPEC.name].phase in (Phase.RUNNING, Phase.GONE)


def test_a_heartbeat_that_cannot_be_believed_is_told(
    launcher: KubernetesLauncher,
    script: Script,
    documents: Documents,
    caplog: pytest.LogCaptureFixture,
) -> None:
    documents.leave(PREFIX, "live", {"heartbeat": {"at": 1e30}})
    script.on("GET", JOBS, listing(job()))
    script.on("GET", PODS, listing(pod()))
    with caplog.at_level(logging.WARNING):
        launcher.observe()
    assert "attempt.heartbeat_unsound" in caplog.messages


@pytest.mark.parametrize("code", [True, 1e300, "0", -1, 256, 2**70, None, [0]], ids=repr)
def test_an_outcome_gives_no_exit_code_that_is_none(
    launcher: KubernetesLauncher, script: Script, documents: Documents, code: Any
) -> None:
    outcome = AttemptOutcome(SPEC.attempt_id, 0).to_json() | {"exit_code": code}
    documents.leave(PREFIX, "outcome", outcome)
    conditions = [{"type": "Failed", "status": "True", "reason": "x"}]
    script.on("GET", JOBS, listing(job(status={"conditions": conditions})))
    assert launcher.observe()[SPEC.name].exit_code is None


@pytest.mark.parametrize(
    "broken",
    [
        job(metadata={"labels": ["no table"]}, spec={"suspend": True}),
        job(status={"conditions": {"no": "list"}}),
        job(metadata={"creationTimestamp": {"no": "time"}}),
    ],
    ids=["labels", "conditions", "time"],
)
def test_a_job_that_cannot_be_read_hides_no_other(
    launcher: KubernetesLauncher, script: Script, broken: dict[str, Any]
) -> None:
    script.on("GET", JOBS, listing(broken, another()))
    script.on("GET", PODS, listing(pod("other-uid")))
    seen = launcher.observe()
    assert seen[OTHER].phase is Phase.RUNNING
    assert seen[SPEC.name].phase in (Phase.PENDING, Phase.RUNNING)


def test_a_store_that_answers_for_one_attempt_only_hides_no_other(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    class PartlyAway(Documents):
        def live(self, prefix: str) -> dict[str, object]:
            if prefix == PREFIX:
                raise LauncherUnreachableError("this key is refused")
            return {}

    launcher = open_kubernetes(runners(), PartlyAway(), url=script.url)
    script.on("GET", JOBS, listing(job(spec={"suspend": True}), another()))
    script.on("GET", PODS, listing(pod("other-uid")))
    with caplog.at_level(logging.WARNING):
        seen = launcher.observe()
    assert seen[OTHER].phase is Phase.RUNNING
    assert seen[SPEC.name].phase is Phase.RUNNING  # nothing says that it has ended
    assert "attempt.unreadable" in caplog.messages


def test_a_copied_job_stands_for_nothing_and_is_told_once(
    launcher: KubernetesLauncher, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    copy = job("a-copy", "copy-uid", status={"conditions": [{"type": "Failed", "status": "True"}]})
    for order_of_list in ((job(), copy), (copy, job())):
        script.on("GET", JOBS, listing(*order_of_list))
        script.on("GET", PODS, listing(pod(), failed("copy-uid")))
        with caplog.at_level(logging.WARNING):
            seen = launcher.observe()
        assert seen.keys() == {SPEC.name}
        assert seen[SPEC.name].phase is Phase.RUNNING
    assert caplog.messages.count("attempt.job_is_a_copy") == 1
    assert script.asked("DELETE") == []


def test_a_job_made_anew_under_the_name_does_not_take_the_place_of_the_one_that_was_seen(
    launcher: KubernetesLauncher, script: Script
) -> None:
    script.on("GET", JOBS, listing(job()), listing(job(uid="another-uid")))
    script.on("GET", PODS, listing(pod(), pod("another-uid")))
    assert launcher.observe()[SPEC.name].phase is Phase.RUNNING
    for _ in range(3):
        assert launcher.observe() == {}
