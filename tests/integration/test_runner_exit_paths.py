"""Every way an attempt can end: real parents, real children, real signals."""

import json
import os
import signal
import urllib.request
from pathlib import Path

import pytest
from tests.support.attempts import (
    RunningAttempt,
    is_running,
    make_spec,
    start_attempt,
    wait_for,
)

from spikefleet.core.attempts import AttemptOutcome, AttemptSpec, InputFile
from spikefleet.core.failures.codes import FailureCode, row_for_exit
from spikefleet.core.files import read_json
from spikefleet.infra.stores.bytes.artifacts import verify_prefix
from spikefleet.infra.stores.bytes.artifacts_open import open_artifacts

PREFIX = "runs/run/attempts/sort-1"


def run(tmp_path: Path, behaviour: str, **changes: object) -> AttemptOutcome:
    return start(tmp_path, behaviour, **changes).finish()


def start(tmp_path: Path, behaviour: str, **changes: object) -> RunningAttempt:
    return start_attempt(make_spec(tmp_path, **changes), behaviour, tmp_path / "attempt")


def stored(tmp_path: Path, prefix: str = PREFIX) -> list[str]:
    store = open_artifacts(str(tmp_path / "artifacts"))
    return sorted(file.key.removeprefix(f"{prefix}/") for file in verify_prefix(store, prefix))


def assert_failed(outcome: AttemptOutcome, code: FailureCode, tmp_path: Path) -> None:
    """The outcome names ``code``, agrees with the table, and its logs are in the store."""
    assert outcome.failure is not None
    assert outcome.failure.code is code
    row = row_for_exit(outcome.exit_code)
    assert row is not None
    assert row.code is code
    assert outcome.failure.stage
    assert outcome.failure.rule_id
    message_file = tmp_path / "attempt" / "termination-message"
    assert message_file.stat().st_size <= 3584
    message = json.loads(message_file.read_text())
    assert (message["code"], message["class"]) == (outcome.exit_code, row.class_name)
    store = open_artifacts(str(tmp_path / "artifacts"))
    assert store.size(f"{PREFIX}/manifest.json") is None
    assert "outcome.json" in stored(tmp_path, f"{PREFIX}/failure")


def test_a_good_sort_ends_with_zero_and_a_complete_result(tmp_path: Path) -> None:
    outcome = run(tmp_path, "succeed")
    assert (outcome.exit_code, outcome.failure, outcome.n_units) == (0, None, 3)
    assert {"sorting/data.bin", "analyzer/data.bin", "result.json", "logs/child.log"} <= set(
        stored(tmp_path)
    )
    assert outcome.artifacts["sorting"] == f"{PREFIX}/sorting"
    assert outcome.versions == {"toy": "1"}
    assert outcome.timings_s["sort"] == 1.5
    assert "host_memory.working_set_bytes" in outcome.peaks or outcome.wall_s < 5


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("fail_unknown", FailureCode.UNCLASSIFIED),
        ("fail_classified", FailureCode.INSUFFICIENT_ACTIVITY),
        ("run_out_of_memory", FailureCode.HOST_OUT_OF_MEMORY),
        ("die_by_kernel", FailureCode.HOST_OUT_OF_MEMORY),
        ("die_by_kill", FailureCode.SORTER_CRASH),
        ("die_by_segfault", FailureCode.SORTER_CRASH),
        ("leave_nothing", FailureCode.SORTER_CRASH),
    ],
)
def test_a_child_that_fails_by_itself_ends_in_its_own_row(
    tmp_path: Path, behaviour: str, code: FailureCode
) -> None:
    assert_failed(run(tmp_path, behaviour), code, tmp_path)


def test_exit_zero_without_a_result_says_what_is_missing(tmp_path: Path) -> None:
    failure = run(tmp_path, "leave_nothing").failure
    assert failure is not None
    assert failure.evidence["reason"] == "no_result"
    assert "result.json" in failure.evidence["missing"]  # type: ignore[operator]


def test_sigterm_to_the_parent_ends_the_child_and_is_never_zero(tmp_path: Path) -> None:
    attempt = start(tmp_path, "stop_politely")
    child = attempt.child_pid()
    attempt.process.send_signal(signal.SIGTERM)
    assert_failed(attempt.finish(5), FailureCode.ATTEMPT_INTERRUPTED, tmp_path)
    assert not is_running(child)


def test_a_child_that_ignores_sigterm_dies_with_all_its_descendants(tmp_path: Path) -> None:
    attempt = start(tmp_path, "cling")
    attempt.child_pid()
    family = json.loads((tmp_path / "attempt" / "family.json").read_text())
    attempt.process.send_signal(signal.SIGTERM)
    assert_failed(attempt.finish(10), FailureCode.ATTEMPT_INTERRUPTED, tmp_path)
    assert [pid for pid in family if is_running(pid)] == []


def test_workers_a_good_child_left_behind_are_ended(tmp_path: Path) -> None:
    assert run(tmp_path, "leave_workers_behind").exit_code == 0
    family = json.loads((tmp_path / "attempt" / "family.json").read_text())
    assert [pid for pid in family if is_running(pid)] == []


def test_a_stopped_child_counts_as_stalled_and_is_killed(tmp_path: Path) -> None:
    attempt = start(tmp_path, "chatter", execution={"sorter_inactivity_base_s": 1.0})
    child = attempt.child_pid()
    os.kill(child, signal.SIGSTOP)
    outcome = attempt.finish(10)
    assert_failed(outcome, FailureCode.SORTER_TIMEOUT, tmp_path)
    assert outcome.failure is not None
    assert outcome.failure.rule_id == "guard.log_inactivity"
    assert not is_running(child)


def test_a_child_that_goes_on_talking_is_left_alone_until_the_deadline(tmp_path: Path) -> None:
    outcome = run(tmp_path, "chatter", execution={"sorter_inactivity_base_s": 0.8}, deadline_s=2.5)
    assert_failed(outcome, FailureCode.SORTER_TIMEOUT, tmp_path)
    assert outcome.failure is not None
    assert outcome.failure.rule_id == "parent.deadline"


def test_a_running_attempt_serves_its_numbers(tmp_path: Path) -> None:
    attempt = start(tmp_path, "chatter", execution={"host_ram_poll_interval_s": 0.1})
    attempt.child_pid()
    wait_for(lambda: (read_json(attempt.folder.heartbeat) or {}).get("readings"))
    port = (read_json(attempt.folder.started) or {})["metrics_port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    assert 'spikefleet_attempt_elapsed_seconds{backend="lupin",run_id="run"}' in text
    assert 'guard="host_memory",run_id="run",signal="used_ratio"' in text
    attempt.process.send_signal(signal.SIGINT)
    assert_failed(attempt.finish(10), FailureCode.ATTEMPT_INTERRUPTED, tmp_path)


def test_memory_close_to_the_declared_limit_stops_the_sorter(tmp_path: Path) -> None:
    limit = 200 << 20
    outcome = run(
        tmp_path,
        "hoard_memory",
        memory_limit_bytes=limit,
        execution={"host_ram_poll_interval_s": 0.1, "host_ram_abort_pct": 90.0},
    )
    assert_failed(outcome, FailureCode.HOST_MEMORY_WATCHDOG, tmp_path)
    # The sample that trips is the last: how far beyond the mark it lies depends on the machine.
    assert outcome.peaks["host_memory.working_set_bytes"] >= 0.9 * limit


def test_a_full_scratch_disk_stops_the_sorter(tmp_path: Path) -> None:
    limits = {"disk_warn_free_gb": 2e9, "disk_abort_free_gb": 1e9}
    outcome = run(tmp_path, "sleep_quietly", execution=limits)
    assert_failed(outcome, FailureCode.DISK_EXHAUSTION, tmp_path)


def test_a_missing_recording_ends_before_any_child_starts(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    (tmp_path / "recording.bin").unlink()
    outcome = start_attempt(spec, "succeed", tmp_path / "attempt").finish()
    assert_failed(outcome, FailureCode.INPUT_MISSING, tmp_path)
    assert not (tmp_path / "attempt" / "child.json").exists()


def test_bytes_that_differ_from_the_submitted_ones_are_refused(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    path = tmp_path / "recording.bin"
    path.write_bytes(bytes(reversed(path.read_bytes())))
    outcome = start_attempt(spec, "succeed", tmp_path / "attempt").finish()
    assert_failed(outcome, FailureCode.INPUT_CORRUPT, tmp_path)
    assert outcome.failure is not None
    assert outcome.failure.evidence["reason"] == "digest_mismatch"


def test_a_recording_overwritten_while_it_is_sorted_is_no_success(tmp_path: Path) -> None:
    running = start(tmp_path, "succeed_when_told")
    running.child_pid()
    path = tmp_path / "recording.bin"
    path.write_bytes(bytes(reversed(path.read_bytes())))
    (tmp_path / "attempt" / "go").touch()
    outcome = running.finish()
    assert_failed(outcome, FailureCode.INPUT_CORRUPT, tmp_path)
    assert outcome.failure is not None
    assert "while it was sorted" in outcome.failure.message


def test_an_error_of_the_parent_itself_is_an_outcome_too(tmp_path: Path) -> None:
    outcome = run(tmp_path, "succeed", deadline_s="soon")
    assert_failed(outcome, FailureCode.UNCLASSIFIED, tmp_path)
    assert outcome.failure is not None
    assert outcome.failure.rule_id == "parent_error"


def test_a_threshold_that_cannot_be_meant_is_the_submitters_configuration(tmp_path: Path) -> None:
    outcome = run(tmp_path, "succeed", execution={"host_ram_warn_pct": 99.0})
    assert_failed(outcome, FailureCode.INVALID_CONFIGURATION, tmp_path)


def test_an_attempt_that_has_its_outcome_is_not_run_again(tmp_path: Path) -> None:
    first = run(tmp_path, "fail_classified")
    attempt = tmp_path / "attempt"
    (attempt / "child.json").unlink()
    from_before = (attempt / "outcome.json").read_bytes()
    again = _start_again(attempt)
    assert again.finish().exit_code == first.exit_code
    assert (attempt / "outcome.json").read_bytes() == from_before
    assert not (attempt / "child.json").exists()


def _start_again(root: Path) -> RunningAttempt:
    spec = AttemptSpec.from_json(read_json(root / "spec.json") or {})
    for name in ("cgroup/memory.events", "cgroup"):
        path = root / name
        path.rmdir() if path.is_dir() else path.unlink()
    return start_attempt(spec, "succeed", root)


def test_a_killed_parent_leaves_a_heartbeat_of_its_last_reading(tmp_path: Path) -> None:
    attempt = start(tmp_path, "chatter", execution={"host_ram_poll_interval_s": 0.1})
    child = attempt.child_pid()
    wait_for(lambda: (read_json(attempt.folder.heartbeat) or {}).get("readings"))
    attempt.process.kill()
    attempt.process.wait()
    os.kill(child, signal.SIGKILL)
    assert not attempt.folder.outcome.exists()
    assert "host_memory" in (read_json(attempt.folder.heartbeat) or {})["readings"]


def test_a_recording_the_store_does_not_hold_is_missing(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, inputs=(InputFile("a.bin", "recordings/r/files/a.bin", 1),))
    outcome = start_attempt(spec, "succeed", tmp_path / "attempt").finish()
    assert_failed(outcome, FailureCode.INPUT_MISSING, tmp_path)


def test_a_store_that_refuses_the_result_is_the_facilitys_failure(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "runs").write_text("in the way")
    outcome = run(tmp_path, "succeed")
    assert outcome.exit_code == 96
    assert outcome.failure is not None
    assert outcome.failure.code is FailureCode.STORAGE_UNAVAILABLE
    assert outcome.failure.stage == "upload"
