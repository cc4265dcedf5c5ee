"""What a trial's end means for the sort, and that the trial keeps to itself."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.attempts import make_spec

from spikefleet.core.attempts import AttemptSpec, RunFolder
from spikefleet.core.failures.codes import FAILURES, FailureCategory, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.files import write_json
from spikefleet.infra.stores.bytes.artifacts_open import open_artifacts
from spikefleet.runner.canary.memory import CanaryMemory
from spikefleet.runner.canary.trial import CanaryReport, CanaryState, run_canary, trial_spec
from spikefleet.runner.canary.window import CanaryWindow

ACTIVE = [{"at_s": 80.5, "n_moments": 40, "seconds": 1.0}]
WINDOW = CanaryWindow(80.0, 110.0, "activity")


@pytest.fixture
def spec(tmp_path: Path) -> AttemptSpec:
    return make_spec(
        tmp_path,
        duration_s=200.0,
        config={"execution": {"canary_first_n_s": 30.0, "random_seed": 5}, "recording": {}},
        preflight={
            "stream": {"sampling_rate_hz": 20_000.0},
            "measurements": {"activity_over_time": ACTIVE},
        },
    )


@pytest.fixture
def try_it(tmp_path: Path) -> Callable[..., CanaryReport]:
    """Run a canary whose trial ends with the given failure, in a real folder and store."""
    folder = RunFolder(tmp_path / "attempt")
    folder.inputs.mkdir(parents=True)
    memory = CanaryMemory(open_artifacts(str(tmp_path / "artifacts")), "key")

    def run(spec: AttemptSpec, failure: Failure | None = None) -> CanaryReport:
        def trial(order: AttemptSpec, own: RunFolder) -> Failure | None:
            assert own.inputs.resolve() == folder.inputs
            write_json(own.child_result, {"n_units": 4})
            (own.child_log).write_text("said")
            return failure

        return run_canary(spec, folder, lambda: memory, trial)

    return run


def test_a_pass_lets_the_sort_begin_and_is_remembered(spec, try_it) -> None:
    first = try_it(spec)
    assert (first.state, first.blocks, first.n_units) == (CanaryState.PASSED, False, 4)
    assert first.window == WINDOW
    again = try_it(replace(spec, attempt_id="another"))
    assert again.state is CanaryState.REMEMBERED
    assert spec.attempt_id in again.reason


def test_only_the_environment_and_a_request_to_stop_keep_the_sort_from_beginning(
    spec, try_it
) -> None:
    for row in FAILURES:
        report = try_it(spec, Failure(row.code, "It broke.", stage="sort", rule_id="rule"))
        blocks = (
            row.category is FailureCategory.ENVIRONMENT
            or row.code is FailureCode.ATTEMPT_INTERRUPTED
        )
        assert report.blocks is blocks, row.code
        assert report.failure is not None, row.code
        assert (report.failure.code, report.failure.stage) == (row.code, "canary"), row.code
        assert report.to_json()["code"] == str(row.code), row.code


def test_what_is_not_a_pass_is_not_remembered(spec, try_it) -> None:
    quiet = Failure(FailureCode.INSUFFICIENT_ACTIVITY, "Too quiet.")
    assert try_it(spec, quiet).state is CanaryState.INCONCLUSIVE
    assert try_it(spec, quiet).state is CanaryState.INCONCLUSIVE


def test_a_refusal_of_the_window_we_chose_blocks_nothing(spec, try_it) -> None:
    ours = Failure(
        FailureCode.INVALID_CONFIGURATION,
        "Past the end.",
        evidence={"field": "recording.start_time_s"},
    )
    assert try_it(spec, ours).state is CanaryState.INCONCLUSIVE
    theirs = replace(ours, evidence={"field": "sorter.sorter_params.Th"})
    assert try_it(spec, theirs).state is CanaryState.BLOCKED


def test_a_recording_shorter_than_asked_for_is_not_tried(spec, try_it) -> None:
    report = try_it(replace(spec, duration_s=119.0))
    assert report.state is CanaryState.SKIPPED
    assert "canary_min_recording_s" in report.reason


def test_only_what_is_sorted_counts_as_length(spec, try_it) -> None:
    config = {**spec.config, "recording": {"start_time_s": 0.0, "end_time_s": 60.0}}
    assert try_it(replace(spec, config=config)).state is CanaryState.SKIPPED


def test_a_trial_as_long_as_the_sort_is_left_out(spec, try_it) -> None:
    config = {**spec.config, "execution": {"canary_first_n_s": 500.0}}
    report = try_it(replace(spec, config=config))
    assert report.state is CanaryState.SKIPPED
    assert "as long as the sort" in report.reason


def test_an_unknown_length_is_said_and_nothing_is_tried(spec, try_it) -> None:
    assert try_it(replace(spec, preflight={})).state is CanaryState.SKIPPED


def test_the_order_of_the_trial_keeps_the_seed_and_shares_nothing(spec) -> None:
    shared = replace(
        spec,
        prepared_folder="/shared",
        report_address="host:1",
        deadline_s=400.0,
        config={
            **spec.config,
            "recording": {"rec_chunks_s": [[0.0, 100.0], [100.0, 200.0]], "freq_min": 300.0},
        },
    )
    order = trial_spec(shared, WINDOW)
    assert (order.prepared_folder, order.report_address) == ("", "")
    assert order.artifacts_prefix != shared.artifacts_prefix
    assert (order.deadline_s, order.duration_s) == (100.0, 30.0)
    assert order.preflight["measurements"] == {}  # they are of the whole, not of the window
    assert order.config["execution"]["random_seed"] == 5
    assert order.config["execution"]["canary_first_n_s"] == 0.0
    assert order.config["execution"]["sorter_inactivity_base_s"] == 120.0
    recording = order.config["recording"]
    assert (recording["start_time_s"], recording["end_time_s"]) == (80.0, 110.0)
    assert (recording["rec_chunks_s"], recording["freq_min"]) == ([], 300.0)
    assert shared.config["recording"]["rec_chunks_s"] == [[0.0, 100.0], [100.0, 200.0]]


def test_of_the_trial_only_its_words_stay(spec, try_it, tmp_path: Path) -> None:
    try_it(spec)
    left = {path.name for path in (tmp_path / "attempt" / "canary").iterdir()}
    assert left == {"spec.json", "child.log"}
    assert (tmp_path / "attempt" / "input").is_dir()


@pytest.mark.parametrize("code", [FailureCode.GPU_OUT_OF_MEMORY, FailureCode.GPU_MEMORY_WATCHDOG])
def test_a_stretch_too_large_for_the_gpu_lets_the_sort_begin_one_step_down(
    spec, try_it, code
) -> None:
    on_gpu = replace(
        spec,
        backend="kilosort4",
        config={**spec.config, "sorter": {"sorter_name": "kilosort4", "sorter_params": {}}},
    )
    report = try_it(on_gpu, Failure(code, "Full."))
    assert (report.state, report.blocks) == (CanaryState.INCONCLUSIVE, False)
    assert report.changes["sorter_params"] == {"clear_cache": True, "batch_size": 30_000}
    assert report.to_json()["changes"] == report.changes


def test_without_leave_for_smaller_batches_the_sort_begins_as_it_is(spec, try_it) -> None:
    execution = {**spec.config["execution"], "oom_retry_max": 0}
    strict = replace(
        spec,
        backend="kilosort4",
        config={"execution": execution, "sorter": {"sorter_name": "kilosort4"}},
    )
    report = try_it(strict, Failure(FailureCode.GPU_OUT_OF_MEMORY, "Full."))
    assert report.changes == {}
    assert "changes" not in report.to_json()
