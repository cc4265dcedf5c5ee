"""How pods die: every recorded death, and those that could not be recorded, as they are judged.

A row is a death: which object was looked at, the class that it is, the rule that says so, and which
pieces of evidence could be missing without a change. Taking away any other piece changes the
verdict. The view ``last`` is what a watch told last of each object, ``final`` what a LIST shows
after the end, when a deleted pod is no longer in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.recorded_pods import ATTEMPT, need_recordings, sight

from spikefleet.controller.judge import Verdict, judge
from spikefleet.core.attempts import AttemptOutcome
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.infra.launchers.base import Observation, Phase
from spikefleet.infra.launchers.kubernetes.reading import Sight, read_attempt
from spikefleet.infra.stores.bytes.artifacts import ArtifactMissingError

NOTHING: Mapping[str, Any] = {
    "exit_code": None,
    "oom_killed": False,
    "disruption": "",
    "reason": "",
    "termination_message": "",
    "log_tail": "",
    "outcome": None,
}

# case, Job, view, class, rule, evidence that is not needed (- for none)
RECORDED = """
apiserver-hung attempt last incomplete incomplete -
apiserver-killed attempt last lost lost -
apiserver-killed attempt final disk_exhaustion termination_message exit_code
apiserver-terminated attempt final disk_exhaustion termination_message exit_code
create-error-bad-mount attempt last docker_environment start_error exit_code,log_tail
deadline-job attempt last deadline deadline exit_code,termination_message
deadline-job-slow-handler attempt last deadline deadline exit_code,termination_message
deadline-job-unschedulable attempt last deadline deadline -
deadline-pod attempt last deadline deadline exit_code,termination_message
deadline-pod-ignores-sigterm attempt last deadline deadline exit_code
delete-pod-exit-0 attempt last incomplete incomplete -
delete-pod-exit-0 attempt final lost lost -
delete-pod-exit-113 attempt last attempt_interrupted termination_message exit_code
delete-pod-exit-113 attempt final lost lost -
delete-pod-force attempt last lost lost -
delete-pod-no-handler attempt last lost lost exit_code
delete-pod-pending attempt last lost lost -
delete-pod-sigkill-137 attempt last lost lost exit_code
evict-api attempt last disrupted disruption exit_code,termination_message
evict-api attempt final lost lost -
evict-api-exit-0 attempt last disrupted disruption exit_code
evict-api-exit-0 attempt final lost lost -
evict-api-pdb attempt last incomplete incomplete -
evict-api-slow-handler attempt last disrupted disruption exit_code,termination_message
evict-api-slow-handler attempt final lost lost -
evict-emptydir-limit attempt last disk_exhaustion ephemeral_limit exit_code
evict-ephemeral-container attempt last disk_exhaustion ephemeral_limit exit_code
evict-ephemeral-one-container attempt last disk_exhaustion ephemeral_limit exit_code
evict-ephemeral-pod attempt last disk_exhaustion ephemeral_limit exit_code
evict-node-disk plain last disrupted disruption exit_code,reason,termination_message
evict-node-memory plain last disrupted disruption exit_code,reason,termination_message
exit-0 attempt last incomplete incomplete -
exit-0-with-message attempt last incomplete incomplete termination_message
exit-1 attempt last unclassified unknown_exit -
exit-107-message attempt last disk_exhaustion termination_message exit_code
exit-134-abort-child attempt last unclassified unknown_exit -
exit-137-self attempt last lost lost exit_code
exit-139-abort-pid1 attempt last unclassified unknown_exit -
exit-139-segv attempt last unclassified unknown_exit -
exit-255 attempt last unclassified unknown_exit -
exit-80-empty-message attempt last insufficient_activity exit_code -
exit-80-message attempt last insufficient_activity termination_message exit_code
fallback-logs attempt last unclassified unknown_exit log_tail
fallback-logs-both attempt last insufficient_activity termination_message exit_code
fallback-logs-exit-0 attempt last incomplete incomplete -
fallback-logs-long attempt last unclassified unknown_exit log_tail
fsgroup-and-uid attempt last insufficient_activity termination_message exit_code
init-failure attempt last input_corrupt termination_message exit_code
job-created-suspended attempt last incomplete incomplete -
job-indexed-two-pods attempt last attempt_interrupted exit_code -
job-indexed-two-pods attempt final unclassified unknown_exit -
job-restart-onfailure attempt last unclassified unknown_exit -
job-restart-onfailure attempt final lost lost -
job-success-then-late-delete attempt last incomplete incomplete -
job-success-then-late-delete attempt final incomplete incomplete -
job-suspend-resume attempt last incomplete incomplete -
kubelet-restart ends-meanwhile last disk_exhaustion termination_message exit_code
kubelet-restart-under-pressure plain last disrupted evicted exit_code,termination_message
kubelet-restart-under-pressure policy last disrupted evicted exit_code,termination_message
message-over-4096 attempt last disk_exhaustion exit_code log_tail
node-deleted plain last disrupted disruption -
node-deleted plain final lost lost -
oom-child-exit-0 attempt last host_out_of_memory oom_killed exit_code
oom-child-exit-106-message attempt last host_out_of_memory termination_message exit_code,oom_killed
oom-child-exit-137 attempt last host_out_of_memory oom_killed exit_code
oom-emptydir-memory attempt last host_out_of_memory oom_killed exit_code,log_tail
oom-main attempt last host_out_of_memory oom_killed exit_code
policy-count-100 attempt last resource_other exit_code -
policy-delete-exit-0 attempt last incomplete incomplete -
policy-delete-exit-0 attempt final incomplete incomplete -
policy-evict-exit-0-late attempt last disrupted disruption exit_code
policy-evict-exit-0-late attempt final incomplete incomplete -
policy-failjob-80 attempt last insufficient_activity termination_message exit_code
policy-failjob-97 attempt last invalid_configuration exit_code -
policy-ignore-disruption-code-80 attempt last disrupted disruption exit_code
policy-ignore-disruption-code-80 attempt final insufficient_activity exit_code -
policy-oom attempt last host_out_of_memory oom_killed exit_code
preempted victim last disrupted disruption exit_code,termination_message
preempted victim final lost lost -
preempted-policy-ignore victim last incomplete incomplete -
readonly-rootfs attempt last unclassified unknown_exit log_tail
sidecar-native attempt last incomplete incomplete -
sidecar-native-main-fails attempt last disk_exhaustion exit_code -
sidecar-plain attempt last disk_exhaustion termination_message exit_code
start-error-exec-format attempt last docker_environment start_error exit_code,log_tail
start-error-no-binary attempt last docker_environment start_error exit_code,log_tail
start-error-not-executable attempt last docker_environment start_error exit_code,log_tail
start-error-other-arch attempt last docker_environment start_error exit_code,log_tail
taint-noexecute plain last disrupted disruption exit_code,termination_message
taint-noexecute plain final lost lost -
taint-noexecute tolerates-6s last disrupted disruption exit_code,termination_message
taint-noexecute tolerates-6s final lost lost -
""".strip().splitlines()


def absent() -> None:
    raise ArtifactMissingError("no manifest")


def complete() -> None:
    """A manifest that verifies."""


def verdict(observation: Observation, *, has_manifest: bool = False) -> Verdict:
    verify = complete if has_manifest else absent
    return judge(observation, attempt_id=ATTEMPT, verify=verify)


def told(observation: Observation, *, has_manifest: bool = False) -> tuple[str, str]:
    """Class and rule, in the table's words."""
    failure = verdict(observation, has_manifest=has_manifest).failure
    if failure is None:
        return "success", "manifest"
    return str(failure.code), failure.rule_id.removeprefix("outside.")


def not_needed(observation: Observation, *, has_manifest: bool = False) -> set[str]:
    """The pieces of evidence without which the verdict is the same."""
    found = told(observation, has_manifest=has_manifest)
    there = [name for name, none in NOTHING.items() if getattr(observation, name) != none]
    without = {name: replace(observation, **{name: NOTHING[name]}) for name in there}
    return {name for name in there if told(without[name], has_manifest=has_manifest) == found}


@need_recordings
@pytest.mark.parametrize("row", RECORDED, ids=lambda row: " ".join(row.split()[:3]))
def test_a_recorded_death_is_what_the_table_says(row: str) -> None:
    case, job, view, code, rule, idle = row.split()
    seen = read_attempt(sight(case, job, view))
    assert seen.phase is Phase.EXITED
    assert told(seen) == (code, rule)
    assert not_needed(seen) == set(idle.replace("-", "").split(",")) - {""}


@need_recordings
@pytest.mark.parametrize("row", RECORDED, ids=lambda row: " ".join(row.split()[:3]))
def test_where_the_cluster_said_why_its_words_are_kept(row: str) -> None:
    seen = read_attempt(sight(*row.split()[:3]))
    found = verdict(seen)
    assert found.failure is not None
    if found.step in ("reason", "disruption"):
        said = str(found.failure.evidence["said"])
        assert (seen.reason or seen.disruption)[:20] in said or seen.disruption[:20] in said
        assert found.failure.evidence["reason"] == row.split()[4]


@need_recordings
@pytest.mark.parametrize(
    ("case", "job", "view"),
    [
        ("exit-0", "attempt", "last"),
        ("oom-child-exit-0", "attempt", "last"),
        ("delete-pod-exit-0", "attempt", "last"),
        ("delete-pod-exit-0", "attempt", "final"),
        ("evict-api-exit-0", "attempt", "last"),
        ("policy-evict-exit-0-late", "attempt", "last"),
        ("delete-pod-sigkill-137", "attempt", "last"),
        ("delete-pod-force", "attempt", "last"),
        ("node-deleted", "plain", "last"),
        ("deadline-pod-ignores-sigterm", "attempt", "last"),
        ("evict-emptydir-limit", "attempt", "last"),
    ],
)
def test_a_complete_result_is_success_whatever_became_of_its_pod(
    case: str, job: str, view: str
) -> None:
    outcome = AttemptOutcome(ATTEMPT, 0).to_json()
    seen = replace(read_attempt(sight(case, job, view)), outcome=outcome)
    assert told(seen, has_manifest=True) == ("success", "manifest")
    assert told(seen)[0] != "success"


@need_recordings
def test_a_code_of_the_table_beside_a_complete_result_is_that_class_and_is_flagged() -> None:
    outcome = AttemptOutcome(ATTEMPT, 0).to_json()
    seen = replace(read_attempt(sight("exit-107-message")), outcome=outcome)
    failure = verdict(seen, has_manifest=True).failure
    assert failure is not None
    assert failure.code is FailureCode.DISK_EXHAUSTION
    assert failure.evidence["class_mismatch"] == "success"


EVICTED_BY_TAINT = "taint eviction: deletionTimestamp set, still Running"
NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
STARTED = "2026-11-28T11:00:00Z"
DISRUPTED = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}


def pod(*, phase: str = "Failed", ended: Mapping[str, Any] | None = None, **status: Any) -> Any:
    """A pod in the shape of the recorded ones."""
    containers = [{"name": "sorter", "state": {"terminated": ended}}] if ended else []
    return {
        "metadata": {"uid": "p", "creationTimestamp": STARTED, "ownerReferences": [{"uid": "j"}]},
        "spec": {"nodeName": "node-a"},
        "status": {"phase": phase, "containerStatuses": containers, **status},
    }


def ended(code: int, reason: str = "Error", **more: Any) -> dict[str, Any]:
    return {"exitCode": code, "reason": reason, "startedAt": STARTED, **more}


def job(message: str = "", *, kind: str = "Failed", reason: str = "PodFailurePolicy") -> Any:
    found = {"type": kind, "status": "True", "reason": reason, "message": message}
    return {"metadata": {"uid": "j", "name": "attempt"}, "status": {"conditions": [found]}}


def oom_heartbeat(kills: int) -> dict[str, Any]:
    return {"at": NOW.timestamp(), "readings": {"host_memory": {"oom_kills": kills}}}


def by_rule(code: int) -> str:
    return f"Container sorter for pod ns/p failed with exit code {code} matching FailJob rule at 0"


TAKEN_BY_RULE = "Pod ns/p has condition DisruptionTarget matching FailJob rule at index 1"


@dataclass(frozen=True)
class Made:
    """A death that could not be recorded, in the shapes of those that were."""

    job: Any
    pods: tuple[Any, ...]
    code: str
    rule: str
    idle: str = ""
    heartbeat: Mapping[str, Any] | None = None
    started: bool = False


MADE = {
    "graceful shutdown, SIGTERM not handled": Made(
        job(), (pod(reason="Terminated", message="node shutdown", ended=ended(137)),),
        "disrupted", "disruption", "exit_code",
    ),
    "graceful shutdown, a condition too": Made(
        job(), (pod(reason="Terminated", conditions=[DISRUPTED], ended=ended(137)),),
        "disrupted", "disruption", "exit_code reason disruption",
    ),
    "graceful shutdown, the handler exits 0": Made(
        job(kind="Complete"), (pod(phase="Succeeded", reason="NodeShutdown", ended=ended(0)),),
        "disrupted", "disruption", "exit_code",
    ),
    "the device plugin cannot allocate": Made(
        job(), (pod(reason="UnexpectedAdmissionError", message="Allocate failed"),),
        "never_started", "admission",
    ),
    "the node has no GPU left": Made(
        job(), (pod(reason="OutOfnvidia.com/gpu"),), "never_started", "admission",
    ),
    "refused under pressure before it ran": Made(
        job(), (pod(reason="Evicted", message="Pod was rejected: [MemoryPressure]. "),),
        "never_started", "admission_refused",
    ),
    "refused under pressure while it ran": Made(
        job(),
        (pod(reason="Evicted", message="Pod was rejected: [DiskPressure]. ", ended=ended(137)),),
        "disrupted", "evicted", "exit_code",
    ),
    "no runtime said OOM, the count of kills grew": Made(
        job(), (pod(ended=ended(137)),), "host_out_of_memory", "oom_killed", "exit_code",
        heartbeat=oom_heartbeat(1),
    ),
    "killed, and no process died for memory": Made(
        job(), (pod(ended=ended(137)),), "lost", "lost", "exit_code",
        heartbeat=oom_heartbeat(0),
    ),
    "-9 passed on by another program": Made(
        job(), (pod(ended=ended(247)),), "lost", "lost", "exit_code",
    ),
    "-9 passed on, the count of kills grew": Made(
        job(), (pod(ended=ended(247)),), "host_out_of_memory", "oom_killed", "exit_code",
        heartbeat=oom_heartbeat(2),
    ),
    "memory guilt under a disruption": Made(
        job(), (pod(conditions=[DISRUPTED], ended=ended(137, "OOMKilled")),),
        "host_out_of_memory", "oom_killed", "exit_code disruption",
    ),
    "power cut": Made(
        job(), (pod(ended=ended(255, "Unknown")),), "lost", "container_vanished",
    ),
    "a lost container": Made(
        job(), (pod(ended={"exitCode": 137, "reason": "ContainerStatusUnknown"}),),
        "lost", "container_vanished",
    ),
    "the pod is gone, the rule kept its code": Made(
        job(by_rule(101)), (), "gpu_out_of_memory", "exit_code",
    ),
    "the pod is gone, it was told to stop": Made(
        job(by_rule(113)), (), "attempt_interrupted", "exit_code",
    ),
    "the pod is gone, the rule kept the disruption": Made(
        job(TAKEN_BY_RULE), (), "disrupted", "disruption",
    ),
    "the pod is gone, nothing is known": Made(job(), (), "lost", "lost"),
    "the queue took the place back": Made(
        {"metadata": {"uid": "j", "name": "attempt"}, "spec": {"suspend": True}}, (),
        "disrupted", "preempted_by_queue", started=True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_a_death_that_could_not_be_recorded_is_what_the_table_says(name: str) -> None:
    made = MADE[name]
    look = Sight(made.job, made.pods, NOW, heartbeat=made.heartbeat, started=made.started)
    seen = read_attempt(look)
    assert seen.phase is Phase.EXITED
    assert told(seen) == (made.code, made.rule)
    assert not_needed(seen) == set(made.idle.split())


def test_a_message_of_the_attempt_outranks_the_oom_mark_of_another_process() -> None:
    thermal = Failure(FailureCode.GPU_THERMAL_WATCHDOG, "Too hot.")
    outcome = AttemptOutcome(ATTEMPT, 103, thermal).to_json()
    look = Sight(job(), [pod(ended=ended(103, "OOMKilled"))], NOW)
    assert told(replace(read_attempt(look), outcome=outcome))[0] == "gpu_thermal_watchdog"


@need_recordings
@pytest.mark.parametrize(("case", "job_name"), [("node-lost", "policy"), ("node-lost", "plain")])
def test_a_pod_on_a_lost_node_is_given_up_ten_minutes_after_it_was_due(
    case: str, job_name: str
) -> None:
    look = sight(case, job_name, view=EVICTED_BY_TAINT)
    patience_s = look.patience.lost_s
    early = read_attempt(replace(look, now=look.now + timedelta(seconds=1)))
    late = read_attempt(replace(look, now=look.now + timedelta(seconds=patience_s + 120)))
    assert early.phase is Phase.RUNNING
    assert (late.phase, late.may_live, late.node) == (Phase.GONE, True, "node1")
    assert told(late) == ("disrupted", "node_lost")


@need_recordings
def test_a_pod_that_no_one_ordered_to_end_is_given_up_when_its_node_stays_silent() -> None:
    look = sight("node-lost-all-nodes", "plain", later_s=3600)
    assert told(read_attempt(look)) == ("disrupted", "node_lost")
    heard = {"at": (look.now - timedelta(seconds=30)).timestamp()}
    assert read_attempt(replace(look, heartbeat=heard)).phase is Phase.RUNNING


def test_a_pod_that_a_queue_takes_back_keeps_its_grace_period() -> None:
    suspended = {"metadata": {"uid": "j", "name": "attempt"}, "spec": {"suspend": True}}
    leaving = pod(phase="Running")
    look = Sight(suspended, [leaving], NOW, started=True)
    assert read_attempt(look).phase is Phase.RUNNING
    assert told(read_attempt(replace(look, pods=[]))) == ("disrupted", "preempted_by_queue")
