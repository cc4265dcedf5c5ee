"""Jobs are started once, seen by LIST, taken back when half made, kept until they are recorded."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.attempt_documents import Documents
from tests.support.runner_profiles import CREATED, attempt, live, order, runners
from tests.support.scripted_api import (
    EVENTS,
    JOBS,
    OWNER,
    PODS,
    SECRETS,
    WORKLOADS,
    Script,
    listing,
    scripted_api,
    status,
)  # fmt: skip

from spikefleet.core.attempts import AttemptOutcome
from spikefleet.core.runs import LogPart
from spikefleet.infra.launchers.base import (
    LauncherUnreachableError,
    NameConflictError,
    NoSlotError,
    Phase,
    Slots,
)
from spikefleet.infra.launchers.kubernetes.launcher import KubernetesLauncher, LauncherTerms
from spikefleet.infra.launchers.kubernetes.manifests import (
    ATTEMPT_ID,
    ATTEMPT_SECRET,
    LAUNCHED,
    RECORDED,
    job_manifest,
)
from spikefleet.infra.launchers.kubernetes.opening import open_kubernetes

SPEC = attempt()
PREFIX = SPEC.artifacts_prefix
JOB = f"{JOBS}/{SPEC.name}"
NOW = CREATED
TAKEN = (409, status(409, "AlreadyExists", "it is there"))
REFUSED = (403, status(403, "Forbidden", "no right"))


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted_api() as made:
        made.on("GET", JOBS, listing())
        made.on("GET", PODS, listing())
        made.on("GET", EVENTS, listing())
        made.on("GET", OWNER, (200, {"metadata": {"uid": "owner-uid"}}))
        made.on("POST", JOBS, lambda asked: (201, live(asked.body)))
        made.on("POST", SECRETS, (201, {}))
        made.on("PATCH", JOB, (200, {}))
        made.on("DELETE", JOB, (200, {}))
        yield made


def job(**changes: Any) -> dict[str, Any]:
    return live(job_manifest(order()), **changes)


def ended(kind: str = "Failed") -> dict[str, Any]:
    return job(status={"conditions": [{"type": kind, "status": "True", "reason": "x"}]})


def pod(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "the-pod", "uid": "pod-uid", "ownerReferences": [{"uid": "job-uid"}]},
        "spec": {"nodeName": "node-a"},
        "status": {"phase": "Running", **status},
    }


def test_job_secret_and_mark_are_made_in_this_order(
    launcher: KubernetesLauncher, script: Script
) -> None:
    launcher.start(SPEC, secret="5ec2e7")
    written = [r for r in script.requests if r.method != "GET"]
    assert [(r.method, r.path) for r in written] == [
        ("POST", JOBS), ("POST", SECRETS), ("PATCH", JOB)
    ]  # fmt: skip
    made, secret, mark = (r.body for r in written)
    assert secret["metadata"]["ownerReferences"][0]["uid"] == "job-uid"
    assert secret["stringData"] == {"secret": "5ec2e7"}
    assert secret["metadata"]["name"] == made["metadata"]["annotations"][ATTEMPT_SECRET]
    assert mark == {"metadata": {"annotations": {LAUNCHED: "true"}}}
    assert made["metadata"]["ownerReferences"][0]["uid"] == "owner-uid"


def test_starting_twice_makes_one_job(launcher: KubernetesLauncher, script: Script) -> None:
    launcher.start(SPEC)
    launcher.start(SPEC)
    assert len(script.asked("POST", JOBS)) == 1


def test_a_job_that_an_earlier_start_has_made_is_taken_over(
    launcher: KubernetesLauncher, script: Script
) -> None:
    script.on("POST", JOBS, TAKEN)
    script.on("GET", JOB, (200, job()))
    script.on("POST", SECRETS, TAKEN)
    launcher.start(SPEC, secret="5ec2e7")
    assert script.asked("DELETE") == []
    assert SPEC.name in launcher._attempts()


def test_a_job_of_somebody_else_is_left_alone(launcher: KubernetesLauncher, script: Script) -> None:
    script.on("POST", JOBS, TAKEN)
    script.on("GET", JOB, (200, job(annotations={ATTEMPT_ID: "another"})))
    with pytest.raises(NameConflictError, match="is not this attempt's"):
        launcher.start(SPEC, secret="5ec2e7")
    assert script.asked("DELETE") == script.asked("PATCH") == []


@pytest.mark.parametrize(
    "before",
    [
        job(annotations={ATTEMPT_SECRET: "of an earlier start"}),
        job(metadata={"deletionTimestamp": NOW.isoformat()}),
        job(metadata={"labels": {RECORDED: "true"}}),
    ],
    ids=["another secret", "leaving", "recorded"],
)
def test_a_job_of_before_makes_room_and_is_made_again(
    launcher: KubernetesLauncher, script: Script, before: dict[str, Any]
) -> None:
    script.on("POST", JOBS, TAKEN, lambda asked: (201, live(asked.body)))
    script.on("GET", JOB, (200, before))
    launcher.start(SPEC, secret="5ec2e7")
    (deleted,) = script.asked("DELETE")
    assert deleted.body["propagationPolicy"] == "Background"
    assert len(script.asked("POST", JOBS)) == 2
    script.on("POST", JOBS, TAKEN)
    other = open_kubernetes(runners(), Documents(), url=script.url)
    with pytest.raises(LauncherUnreachableError, match="still being removed"):
        other.start(SPEC, secret="5ec2e7")


def test_a_used_up_quota_is_a_slot_that_is_not_free(
    launcher: KubernetesLauncher, script: Script
) -> None:
    words = "jobs.batch is forbidden: exceeded quota: lab"
    script.on("POST", JOBS, (403, status(403, "Forbidden", words)))
    with pytest.raises(NoSlotError, match="waits for room in the namespace's quota: lab"):
        launcher.start(SPEC)


@pytest.mark.parametrize("place", [JOBS, SECRETS])
def test_what_the_cluster_refuses_is_an_error_with_its_words(
    launcher: KubernetesLauncher, script: Script, place: str
) -> None:
    script.on("POST", place, (422, status(422, "Invalid", "spec.x: it is wrong")))
    with pytest.raises(OSError, match="it is wrong"):
        launcher.start(SPEC)


def test_a_job_that_goes_while_it_is_looked_at_is_made_by_the_next_start(
    launcher: KubernetesLauncher, script: Script
) -> None:
    script.on("POST", JOBS, TAKEN)
    with pytest.raises(LauncherUnreachableError, match="is gone again"):
        launcher.start(SPEC)


def test_without_its_owner_no_job_is_made(launcher: KubernetesLauncher, script: Script) -> None:
    script.on("GET", OWNER, (404, status(404, "NotFound", "it is not there")))
    with pytest.raises(OSError, match="no ConfigMap lab-runners"):
        launcher.start(SPEC)
    assert script.asked("POST") == []


def test_a_start_without_an_answer_is_unknown_and_is_found_or_made_by_the_next(
    launcher: KubernetesLauncher, script: Script
) -> None:
    script.on("POST", JOBS, (504, b""))
    with pytest.raises(LauncherUnreachableError):
        launcher.start(SPEC, secret="5ec2e7")
    script.on("GET", JOB, (200, job(annotations={})))
    script.on("POST", JOBS, TAKEN)
    launcher.start(SPEC, secret="5ec2e7")
    assert script.asked("DELETE") == []
    assert len(script.asked("POST", SECRETS)) == 1


def test_a_half_started_job_of_before_is_taken_back_and_not_shown(
    launcher: KubernetesLauncher, script: Script
) -> None:
    script.on("GET", JOBS, listing(job(annotations={})))
    assert launcher.observe() == {}
    (deleted,) = script.asked("DELETE", JOB)
    assert deleted.body["preconditions"] == {"uid": "job-uid"}


def test_a_new_launcher_sees_what_another_has_started(
    launcher: KubernetesLauncher, script: Script, documents: Documents
) -> None:
    heartbeat = {"at": NOW.timestamp(), "progress": {"step": "sort"}}
    documents.leave(PREFIX, "live", {"heartbeat": heartbeat})
    script.on("GET", JOBS, listing(job()))
    script.on("GET", PODS, listing(pod()))
    seen = launcher.observe()[SPEC.name]
    assert (seen.phase, seen.node) == (Phase.RUNNING, "node-a")
    assert seen.heartbeat == heartbeat
    launcher.start(SPEC)
    assert script.asked("POST") == []


def test_jobs_and_pods_are_asked_for_by_label_and_recorded_ones_are_left_out(
    launcher: KubernetesLauncher, script: Script
) -> None:
    script.on("GET", JOBS, listing(job()))
    launcher.observe()
    (jobs,), (pods,) = script.asked("GET", JOBS), script.asked("GET", PODS)
    assert jobs.query["labelSelector"] == pods.query["labelSelector"] + f",!{RECORDED}"


@pytest.mark.parametrize("place", [JOBS, PODS])
@pytest.mark.parametrize("answer", [REFUSED, (0, b"")])
def test_a_list_that_fails_raises_and_changes_nothing(
    launcher: KubernetesLauncher, script: Script, place: str, answer: Any
) -> None:
    launcher.start(SPEC)
    script.on("GET", JOBS, listing(job()))
    launcher._api.pause = lambda _s: None
    script.on("GET", place, answer)
    before = launcher.free_slots()
    with pytest.raises(LauncherUnreachableError):
        launcher.observe()
    assert launcher.free_slots() == before
    assert script.asked("DELETE") == []


def test_a_round_asks_for_warnings_once_however_many_wait(
    launcher: KubernetesLauncher, script: Script
) -> None:
    many = [job(metadata={"uid": f"j{n}", "name": f"a{n}"}) for n in range(20)]
    for number, each in enumerate(many):
        each["metadata"]["annotations"]["spikefleet.dev/attempt-name"] = f"a{number}"
    about = {
        "involvedObject": {"uid": "j7"},
        "reason": "FailedCreate",
        "message": "x: exceeded quota: lab",
    }
    script.on("GET", JOBS, listing(*many))
    script.on("GET", EVENTS, listing(about))
    seen = launcher.observe()
    assert len(script.requests) == 3
    assert seen["a7"].waiting == "waits for room in the namespace's quota: lab"
    assert seen["a8"].waiting == "waits for the cluster to make its pod"


def test_a_suspended_job_tells_the_queues_words_and_ends_only_if_it_had_run(
    launcher: KubernetesLauncher, script: Script, documents: Documents
) -> None:
    said = {"type": "QuotaReserved", "status": "False", "message": "no unused quota"}
    entry = {
        "metadata": {"ownerReferences": [{"uid": "job-uid"}]},
        "status": {"conditions": [said]},
    }
    script.on("GET", WORKLOADS, listing(entry))
    script.on("GET", JOBS, listing(job(spec={"suspend": True})))
    seen = launcher.observe()[SPEC.name]
    assert (seen.phase, seen.waiting) == (
        Phase.PENDING, "waits for its turn in the cluster's queue: no unused quota"
    )  # fmt: skip
    documents.leave(PREFIX, "live", {"started": {"pid": 1}})
    again = open_kubernetes(runners(), documents, url=script.url)
    assert again.observe()[SPEC.name].phase is Phase.EXITED
    documents.reads.clear()
    launcher.observe()
    assert documents.reads == []  # it has had no pod since it was first seen


def test_an_end_is_told_with_code_message_and_what_the_attempt_stored(
    launcher: KubernetesLauncher, script: Script, documents: Documents
) -> None:
    outcome = AttemptOutcome("attempt-1", 107).to_json()
    documents.leave(PREFIX, "outcome", outcome)
    state = {"terminated": {"exitCode": 107, "message": "{}", "startedAt": NOW.isoformat()}}
    script.on("GET", JOBS, listing(ended()))
    script.on("GET", PODS, listing(pod(phase="Failed", containerStatuses=[
        {"name": "sorter", "state": state}
    ])))  # fmt: skip
    seen = launcher.observe()[SPEC.name]
    assert (seen.phase, seen.exit_code, seen.termination_message) == (Phase.EXITED, 107, "{}")
    assert seen.outcome == outcome
    script.on("GET", PODS, listing())
    assert (
        open_kubernetes(runners(), documents, url=script.url).observe()[SPEC.name].exit_code == 107
    )


def test_a_stop_deletes_the_job_with_its_pod_first_and_the_store_tells_the_end(
    launcher: KubernetesLauncher, script: Script, documents: Documents
) -> None:
    script.on(
        "GET", JOBS, listing(job()), listing(job(metadata={"deletionTimestamp": "x"})), listing()
    )
    script.on("GET", PODS, listing(pod()))
    launcher.observe()
    launcher.stop(SPEC.name, grace_s=20)
    (deleted,) = script.asked("DELETE")
    assert deleted.body["propagationPolicy"] == "Foreground"
    assert launcher.observe()[SPEC.name].phase is Phase.RUNNING
    assert launcher.observe()[SPEC.name].phase is Phase.GONE
    documents.leave(PREFIX, "outcome", AttemptOutcome("attempt-1", 113).to_json())
    seen = launcher.observe()[SPEC.name]
    assert (seen.phase, seen.exit_code) == (Phase.EXITED, 113)
    launcher.forget(SPEC.name)
    assert launcher.observe() == {}


def test_an_ended_job_is_recorded_and_expires_in_one_request(
    launcher: KubernetesLauncher, script: Script
) -> None:
    script.on("GET", JOBS, listing(ended()))
    launcher.observe()
    launcher.forget(SPEC.name)
    (patched,) = script.asked("PATCH")
    assert patched.body["metadata"]["labels"] == {RECORDED: "true"}
    assert patched.body["spec"] == {"ttlSecondsAfterFinished": 3600}
    assert script.asked("DELETE") == []


def test_a_job_that_was_given_up_is_taken_away_when_it_is_forgotten(
    script: Script, documents: Documents
) -> None:
    later = NOW + timedelta(hours=1)
    launcher = KubernetesLauncher(
        open_kubernetes(runners(), documents, url=script.url)._api,
        runners(), documents, clock=lambda: later,
    )  # fmt: skip
    waiting = {"name": "sorter", "state": {"waiting": {"reason": "ErrImageNeverPull"}}}
    scheduled = {"type": "PodScheduled", "status": "True"}
    script.on("GET", JOBS, listing(job()))
    script.on("GET", PODS, listing(pod(
        phase="Pending", startTime=NOW.isoformat(), containerStatuses=[waiting],
        conditions=[scheduled],
    )))  # fmt: skip
    assert launcher.observe()[SPEC.name].phase is Phase.EXITED
    launcher.forget(SPEC.name)
    (deleted,) = script.asked("DELETE")
    assert deleted.body["propagationPolicy"] == "Background"


def test_slots_are_the_operators_where_he_gives_some(script: Script, documents: Documents) -> None:
    terms = LauncherTerms(slots=Slots(cpu=1, gpu=1))
    launcher = open_kubernetes(runners(), documents, terms=terms, url=script.url)
    launcher.start(SPEC)
    assert launcher.free_slots() == Slots(cpu=0, gpu=1)
    with pytest.raises(NoSlotError, match="every CPU slot"):
        launcher.start(replace(SPEC, name="another"))


def test_where_the_cluster_decides_a_round_starts_so_many(launcher: KubernetesLauncher) -> None:
    launcher.start(SPEC)
    assert launcher.free_slots() == Slots(cpu=50, gpu=50)


def test_a_log_is_read_from_the_pod_by_bytes(launcher: KubernetesLauncher, script: Script) -> None:
    script.on("GET", f"{PODS}/the-pod/log", (200, b"one\ntwo\nthree\n"))
    assert launcher.read_log(SPEC.name, 0, 99) is None
    script.on("GET", JOBS, listing(job()))
    script.on("GET", PODS, listing(pod()))
    launcher.observe()
    assert launcher.read_log(SPEC.name, 4, 4) == LogPart(b"two\n", 4, 14)
    assert launcher.read_log(SPEC.name, -6, 99) == LogPart(b"three\n", 8, 14)
    script.on("GET", f"{PODS}/the-pod/log", REFUSED)
    assert launcher.read_log(SPEC.name, 0, 99) is None


def test_heartbeats_are_not_read_every_round(
    launcher: KubernetesLauncher, script: Script, documents: Documents
) -> None:
    script.on("GET", JOBS, listing(job()))
    script.on("GET", PODS, listing(pod()))
    for _ in range(5):
        launcher.observe()
    assert documents.reads.count("live") == 1
