"""The evidence ladder: harder evidence wins, and success needs a complete manifest."""

import json
from pathlib import Path

import pytest

from spikefleet.controller.judge import judge, with_stored_outcome
from spikefleet.core.attempts import AttemptOutcome
from spikefleet.core.failures.codes import FAILURES, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.infra.launchers.base import Observation, Phase
from spikefleet.infra.stores.bytes.artifacts import ArtifactDamagedError, ArtifactMissingError
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.runner.outcome import exit_code_of, make_termination_message

ATTEMPT = "attempt-1"


def complete() -> None:
    """A manifest that verifies."""


def absent() -> None:
    raise ArtifactMissingError("no manifest")


def damaged() -> None:
    raise ArtifactDamagedError("a file is short")


def ended(exit_code=None, *, outcome=None, phase=Phase.EXITED, **more) -> Observation:
    return Observation("s-1-sort-1", phase, exit_code, outcome=outcome, **more)


def outcome(exit_code=0, failure=None, attempt_id=ATTEMPT):
    return AttemptOutcome(attempt_id, exit_code, failure).to_json()


def verdict(observation, verify=absent):
    return judge(observation, attempt_id=ATTEMPT, verify=verify)


def code_of(observation, verify=absent):
    failure = verdict(observation, verify).failure
    return failure.code if failure else None


def test_exit_zero_with_a_complete_manifest_is_success():
    assert code_of(ended(0, outcome=outcome()), complete) is None


def test_an_attempt_that_vanished_after_its_manifest_was_complete_has_succeeded():
    assert code_of(ended(None, outcome=outcome(), phase=Phase.GONE), complete) is None


@pytest.mark.parametrize("verify", [absent, damaged])
def test_exit_zero_without_a_complete_manifest_is_incomplete(verify):
    assert code_of(ended(0, outcome=outcome()), verify) is FailureCode.INCOMPLETE


def test_a_complete_manifest_without_a_good_outcome_is_not_success():
    assert code_of(ended(0), complete) is FailureCode.INCOMPLETE


def test_every_exit_code_of_the_table_comes_out_as_its_row():
    for row in filter(lambda row: row.exit_code, FAILURES):
        assert code_of(ended(row.exit_code)) is row.code, row.code


def test_the_attempts_own_outcome_names_the_failure_and_keeps_its_evidence():
    failure = Failure(FailureCode.GPU_OUT_OF_MEMORY, "too big", evidence={"asked_bytes": 5})
    found = verdict(ended(101, outcome=outcome(101, failure))).failure
    assert found is not None
    assert (found.code, found.evidence["asked_bytes"]) == (FailureCode.GPU_OUT_OF_MEMORY, 5)


def test_the_exit_code_wins_over_a_document_that_disagrees_and_says_so():
    failure = Failure(FailureCode.GPU_OUT_OF_MEMORY, "too big")
    found = verdict(ended(107, outcome=outcome(101, failure))).failure
    assert found is not None
    assert found.code is FailureCode.DISK_EXHAUSTION
    assert found.evidence["class_mismatch"] == "gpu_out_of_memory"


def test_the_kernels_word_outranks_silence():
    assert code_of(ended(137, oom_killed=True)) is FailureCode.HOST_OUT_OF_MEMORY


def test_the_last_readings_before_the_kill_are_kept() -> None:
    memory = {"working_set_bytes": 15.5e9, "limit_bytes": 16e9, "used_ratio": 0.969}
    heartbeat = {"readings": {"host_memory": memory}}
    found = verdict(ended(137, oom_killed=True, heartbeat=heartbeat)).failure
    assert found is not None
    assert found.evidence["working_set_bytes"] == 15_500_000_000
    assert found.evidence["percent_at_trip"] == 96.9
    for damaged in ({"readings": 3}, {"readings": {"host_memory": [1]}}, {}):
        assert code_of(ended(137, oom_killed=True, heartbeat=damaged)) is (
            FailureCode.HOST_OUT_OF_MEMORY
        )


def test_exit_137_alone_decides_nothing_but_that_it_is_lost():
    assert code_of(ended(137)) is FailureCode.LOST


def test_a_killed_or_vanished_attempt_without_outcome_is_lost():
    assert code_of(ended(-9, signal=9)) is FailureCode.LOST
    assert code_of(ended(None, phase=Phase.GONE)) is FailureCode.LOST


def test_a_lost_attempt_tells_where_it_was_last():
    heartbeat = {"progress": {"step": "detect", "fraction": 0.4}}
    found = verdict(ended(None, signal=9, heartbeat=heartbeat)).failure
    assert found is not None
    assert found.evidence["last_progress"] == {"step": "detect", "fraction": 0.4}
    assert "last_progress" not in verdict(ended(None, signal=9, heartbeat={})).failure.evidence


def test_a_lost_attempt_keeps_the_end_of_its_log_as_evidence():
    found = verdict(ended(-9, signal=9, log_tail="step one\nstep two\n")).failure
    assert found is not None
    assert found.evidence["log_tail"] == ["step one", "step two"]


def test_another_attempts_outcome_is_no_evidence():
    assert code_of(ended(0, outcome=outcome(attempt_id="attempt-2")), complete) is (
        FailureCode.INCOMPLETE
    )


def said(code, attempt_id=ATTEMPT):
    """The termination message as the runner writes it."""
    failure = Failure(code, "It went wrong.", evidence={"free_gb": 0.2})
    left = AttemptOutcome(attempt_id, exit_code_of(failure), failure)
    return make_termination_message(left).decode()


def test_a_termination_message_is_read_when_there_is_no_outcome():
    found = verdict(ended(107, termination_message=said(FailureCode.DISK_EXHAUSTION)))
    assert found.failure is not None
    assert found.failure.code is FailureCode.DISK_EXHAUSTION
    assert found.failure.evidence["free_gb"] == 0.2
    assert found.step == "termination_message"


def test_another_attempts_termination_message_is_no_evidence():
    message = said(FailureCode.MODEL_LOADING, attempt_id="attempt-2")
    assert code_of(ended(1, termination_message=message)) is FailureCode.UNCLASSIFIED


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("OOMKilled", FailureCode.HOST_OUT_OF_MEMORY),
        ("DisruptionTarget: PreemptionByScheduler", FailureCode.DISRUPTED),
        ("Evicted: The node was low on resource: memory.", FailureCode.DISRUPTED),
        ('Evicted: Usage of EmptyDir "scratch" exceeds the limit', FailureCode.DISK_EXHAUSTION),
        ("DeadlineExceeded", FailureCode.DEADLINE),
        ("ImagePullBackOff", FailureCode.DOCKER_ENVIRONMENT),
        ("OutOfmemory", FailureCode.NEVER_STARTED),
    ],
)
def test_a_clusters_reason_outranks_what_a_killed_attempt_could_not_say(reason, code):
    found = verdict(ended(137, reason=reason))
    assert found.failure is not None
    assert (found.failure.code, found.step) == (code, "reason")


def test_an_interrupted_attempt_that_was_taken_away_was_disrupted():
    stopped = Failure(FailureCode.ATTEMPT_INTERRUPTED, "Told to stop.")
    observation = ended(113, outcome=outcome(113, stopped), reason="NodeShutdown")
    assert code_of(observation) is FailureCode.DISRUPTED


def test_a_failure_that_was_named_before_the_pod_was_taken_stands():
    silent = Failure(FailureCode.INSUFFICIENT_ACTIVITY, "Silent.")
    observation = ended(80, outcome=outcome(80, silent), reason="DisruptionTarget: Drain")
    assert code_of(observation) is FailureCode.INSUFFICIENT_ACTIVITY


def test_exit_zero_under_a_node_that_shuts_down_is_not_success():
    assert code_of(ended(0, outcome=outcome(), reason="NodeShutdown")) is FailureCode.DISRUPTED


@pytest.mark.parametrize("message", ["", "{", "[]", "\x00\xff", '{"code": "no_such_code"}'])
def test_a_damaged_termination_message_falls_back_to_the_exit_code(message):
    assert code_of(ended(110, termination_message=message)) is FailureCode.SORTER_CRASH


@pytest.mark.parametrize("broken", [{"version": 1}, {"version": 9}, {"nonsense": True}])
def test_a_damaged_outcome_falls_back_to_the_exit_code(broken):
    assert code_of(ended(110, outcome=broken)) is FailureCode.SORTER_CRASH


def test_an_exit_code_of_nobody_is_unclassified_with_the_code_as_evidence():
    found = verdict(ended(3)).failure
    assert found is not None
    assert (found.code, found.evidence["exit_code"]) == (FailureCode.UNCLASSIFIED, 3)


def test_an_attempt_taken_away_after_its_upload_is_known_by_the_stored_outcome(
    tmp_path: Path,
) -> None:
    store = LocalArtifacts(tmp_path)
    gone = ended(None, signal=9)
    assert with_stored_outcome(gone, store, "p") == gone
    store.put_bytes("p/outcome.json", json.dumps(outcome()).encode())
    assert code_of(with_stored_outcome(gone, store, "p"), complete) is None
    assert code_of(with_stored_outcome(gone, store, "p"), absent) is FailureCode.LOST


def test_a_stored_outcome_does_not_outrank_what_the_attempt_said(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    store.put_bytes("p/outcome.json", json.dumps(outcome()).encode())
    for own in (ended(113), ended(107, outcome=outcome(107))):
        assert with_stored_outcome(own, store, "p") == own


@pytest.mark.parametrize("stored", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_stored_outcome_is_no_evidence(tmp_path: Path, stored: bytes) -> None:
    store = LocalArtifacts(tmp_path)
    store.put_bytes("p/outcome.json", stored)
    assert code_of(with_stored_outcome(ended(None, signal=9), store, "p")) is FailureCode.LOST
