"""The trial before a sort, with real parents and children: what blocks, what is only noted."""

from pathlib import Path
from typing import Any

from tests.support.attempts import RunningAttempt, make_spec, start_attempt, wait_for

from spikefleet.core.attempts import AttemptOutcome
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.files import read_json
from spikefleet.infra.stores.bytes.artifacts_open import open_artifacts

KNOWN = {
    "stream": {"sampling_rate_hz": 20_000.0},
    "measurements": {"activity_over_time": [{"at_s": 70.0, "n_moments": 9, "seconds": 1.0}]},
}
ASKED: dict[str, Any] = {"canary_first_n_s": 20.0, "canary_min_recording_s": 60.0}


def start(tmp_path: Path, behaviour: str, name: str = "attempt", **changes: Any) -> RunningAttempt:
    execution = ASKED | changes.pop("execution", {})
    spec = make_spec(tmp_path, execution=execution, duration_s=200.0, preflight=KNOWN, **changes)
    return start_attempt(spec, behaviour, tmp_path / name)


def run(tmp_path: Path, behaviour: str, **changes: Any) -> AttemptOutcome:
    return start(tmp_path, behaviour, **changes).finish()


def test_a_sort_after_a_good_trial_succeeds_and_says_so(tmp_path: Path) -> None:
    outcome = run(tmp_path, "succeed")
    assert (outcome.exit_code, outcome.canary["state"]) == (0, "passed")
    assert outcome.canary["window_s"] == [69.5, 89.5]
    assert outcome.canary["n_units"] == 3
    assert outcome.timings_s["parent.canary"] > 0
    store = open_artifacts(str(tmp_path / "artifacts"))
    assert store.size("runs/run/attempts/sort-1/logs/canary.log") is not None


def test_a_broken_environment_ends_the_attempt_before_the_sort(tmp_path: Path) -> None:
    outcome = run(tmp_path, "lack_a_library+succeed")
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.exit_code) == (FailureCode.MODEL_LOADING, 93)
    assert outcome.failure.stage == "canary"
    assert outcome.canary["state"] == "blocked"
    assert not (tmp_path / "attempt" / "child.log").exists()
    store = open_artifacts(str(tmp_path / "artifacts"))
    assert store.size("runs/run/attempts/sort-1/failure/logs/canary.log") is not None


def test_a_stretch_too_large_for_the_gpu_lets_the_sort_begin_with_smaller_batches(
    tmp_path: Path,
) -> None:
    sorter = {"sorter_name": "kilosort4", "sorter_params": {"Th_universal": 8}}
    config = {"execution": ASKED, "sorter": sorter, "recording": {}}
    outcome = run(tmp_path, "fill_the_gpu+succeed", backend="kilosort4", config=config)
    assert (outcome.exit_code, outcome.canary["state"]) == (0, "inconclusive")
    smaller = {"batch_size": 30_000, "clear_cache": True}
    assert outcome.canary["changes"] == {"sorter_params": smaller}
    spec = read_json(tmp_path / "attempt" / "spec.json") or {}
    assert spec["config"]["sorter"]["sorter_params"] == {"Th_universal": 8, **smaller}


def test_a_quiet_stretch_is_noted_and_the_sort_goes_on(tmp_path: Path) -> None:
    outcome = run(tmp_path, "fail_classified+succeed")
    assert (outcome.exit_code, outcome.n_units) == (0, 3)
    assert outcome.canary["state"] == "inconclusive"
    assert outcome.canary["code"] == "insufficient_activity"


def test_a_kernel_kill_in_the_trial_is_not_held_against_the_sort(tmp_path: Path) -> None:
    outcome = run(tmp_path, "die_by_kernel_in_trial+die_by_kill")
    assert outcome.canary["state"] == "inconclusive"
    assert outcome.canary["code"] == "host_out_of_memory"
    assert outcome.failure is not None
    assert outcome.failure.code is FailureCode.SORTER_CRASH


def test_the_next_attempt_of_the_same_kind_relies_on_the_trial(tmp_path: Path) -> None:
    run(tmp_path, "succeed")
    again = run(
        tmp_path,
        "lack_a_library+succeed",
        name="second",
        attempt_id="run/second",
        artifacts_prefix="runs/run/attempts/sort-2",
    )
    assert (again.exit_code, again.canary["state"]) == (0, "remembered")


def test_a_trial_that_the_environment_proved_wrong_is_forgotten(tmp_path: Path) -> None:
    run(tmp_path, "succeed")
    states = []
    for number in (2, 3):
        outcome = run(
            tmp_path,
            "lack_a_library",
            name=f"attempt-{number}",
            attempt_id=f"run/{number}",
            artifacts_prefix=f"runs/run/attempts/sort-{number}",
        )
        assert outcome.exit_code == 93
        states.append(outcome.canary["state"])
    assert states == ["remembered", "blocked"]


def test_a_stop_during_the_trial_ends_the_attempt_in_order(tmp_path: Path) -> None:
    attempt = start(tmp_path, "chatter+succeed")
    wait_for(lambda: (attempt.folder.canary / "child.log").is_file())
    wait_for(
        lambda: (
            (read_json(attempt.folder.heartbeat) or {}).get("progress", {}).get("step") == "canary"
        )
    )
    attempt.process.terminate()
    outcome = attempt.finish()
    assert outcome.failure is not None
    assert outcome.failure.code is FailureCode.ATTEMPT_INTERRUPTED
    assert outcome.canary["state"] == "interrupted"
    assert not (tmp_path / "attempt" / "child.log").exists()


def test_without_a_wish_there_is_no_trial(tmp_path: Path) -> None:
    outcome = run(tmp_path, "lack_a_library+succeed", execution={"canary_first_n_s": 0.0})
    assert (outcome.exit_code, dict(outcome.canary)) == (0, {})
    assert not (tmp_path / "attempt" / "canary").exists()
