"""What a watched run says of itself, and what its end means to a shell."""

import pytest
from tests.support.runs import make_run, make_view

from spikefleet.cli.following import exit_code, run_fraction, what_it_says
from spikefleet.cli.options import ExitCode
from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FailureCode, RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.runs import RunState


def test_a_running_sort_tells_step_spikes_memory_and_time_left() -> None:
    progress = {
        "step": "template learning",
        "fraction": 0.5,
        "spike_count": 12345,
        "memory_bytes": 2e9,
        "eta_s": 95.0,
    }
    assert what_it_says(make_run(progress=progress)) == (
        "running sort, template learning, 50%, 12,345 spikes, 2.0 GB, 1 min 35 s left"
    )


def test_what_is_unknown_is_left_out() -> None:
    assert what_it_says(make_run(progress={})) == "running sort"


def test_a_success_tells_how_many_units_were_kept() -> None:
    result = {"n_units_sorted": 9, "n_units_curated": 7}
    run = make_run(state=RunState.SUCCEEDED, result=result)
    assert what_it_says(run) == "succeeded: 7 of 9 units kept"


def test_an_end_with_a_failure_tells_its_sentence() -> None:
    run = make_run(
        state=RunState.SKIPPED,
        status=RunStatus.INPUT_ERROR,
        failure=Failure(FailureCode.INPUT_MISSING, "There is no file at /data/a.nwb."),
    )
    assert what_it_says(run) == "input_error: There is no file at /data/a.nwb."


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [
        (RunState.SUCCEEDED, RunStatus.SUCCESS, ExitCode.DONE),
        (RunState.SKIPPED, RunStatus.UNSORTABLE, ExitCode.DONE),
        (RunState.SKIPPED, RunStatus.INPUT_ERROR, ExitCode.RUN_FAILED),
        (RunState.FAILED, RunStatus.FAILED, ExitCode.RUN_FAILED),
        (RunState.CANCELLED, RunStatus.CANCELLED, ExitCode.RUN_FAILED),
        (RunState.HELD, None, ExitCode.RUN_FAILED),
    ],
)
def test_an_end_has_one_exit_code(
    state: RunState, status: RunStatus | None, code: ExitCode
) -> None:
    assert exit_code([make_view(state=state, status=status)]) is code


def test_one_failed_run_among_many_fails_the_command() -> None:
    good = make_view(state=RunState.SUCCEEDED, status=RunStatus.SUCCESS)
    bad = make_view(state=RunState.FAILED, status=RunStatus.FAILED)
    assert exit_code([good, bad, good]) is ExitCode.RUN_FAILED


def test_a_bar_moves_forward_through_the_stages_and_fills_at_the_end() -> None:
    way = [
        make_run(stage=Stage.PREFLIGHT),
        make_run(stage=Stage.SORT, progress={"fraction": 0.5}),
        make_run(stage=Stage.SORT, progress={"fraction": 1.0}),
        make_run(stage=Stage.CURATE),
        make_run(stage=Stage.REPORT),
        make_run(state=RunState.SUCCEEDED, stage=Stage.REPORT),
    ]
    fractions = [run_fraction(run) for run in way]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_a_held_run_tells_why_and_where_to_look() -> None:
    failure = Failure(FailureCode.MODEL_LOADING, "The model cannot be loaded.")
    text = what_it_says(make_run(state=RunState.HELD, failure=failure))
    assert text == "held: The model cannot be loaded. See `spikefleet holds`."
