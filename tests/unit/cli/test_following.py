"""What a watched run says of itself, and what its end means to a shell."""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from rich.cells import cell_len
from rich.console import Console
from tests.support.runs import CREATED, make_run, make_view

from spikefleet.cli.following import (
    Bars,
    exit_code,
    follow,
    next_steps,
    run_fraction,
    title_of,
    what_it_says,
)
from spikefleet.cli.options import ExitCode
from spikefleet.cli.printing import Output
from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import OnLost, RunUpdate, RunView
from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FailureCode, RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.runs import RunEvent, RunState
from spikefleet.infra.rpc.errors import ServiceUnreachable


def test_a_running_sort_tells_step_spikes_memory_and_time_left() -> None:
    progress = {
        "step": "template learning",
        "fraction": 0.5,
        "spike_count": 12345,
        "memory_bytes": 2e9,
        "eta_s": 95.0,
    }
    assert what_it_says(make_run(progress=progress)) == (
        "sort, template learning, 50%, 1 min 35 s left, 12,345 spikes, 2 GB"
    )


def test_a_step_named_like_its_stage_and_a_time_left_of_nothing_are_not_told() -> None:
    progress = {"step": "sort", "fraction": 0.05, "eta_s": 0.2}
    assert what_it_says(make_run(progress=progress)) == "sort, 5%"


def test_a_lost_service_is_told_once_and_again_only_after_it_was_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = ServiceUnreachable("UNREACHABLE", "No service answers at h:1 (refused).")
    running, ended = make_view(), make_view(state=RunState.SUCCEEDED)

    class Flaky:
        """What ``follow`` asks of a client; its service goes away twice."""

        address = "h:1"

        def get(self, run_id: str) -> RunView:
            return running

        def watch(self, run_id: str, *, on_lost: OnLost) -> Iterator[RunUpdate]:
            for view in (running, ended):
                on_lost(error)
                on_lost(error)
                yield RunUpdate(view)

    follow(cast("SortingClient", Flaky()), [running.run_id], Output("text"))
    told = capsys.readouterr().out
    assert told.count("No service answers at h:1; the runs continue. Retrying") == 2


def test_what_is_unknown_is_left_out() -> None:
    assert what_it_says(make_run(progress={})) == "sort"


def test_a_run_that_waits_for_its_next_stage_does_not_repeat_the_last_ones_progress() -> None:
    progress = {"step": "upload", "fraction": 1.0, "spike_count": 9}
    run = make_run(state=RunState.QUEUED, stage=Stage.CURATE, progress=progress)
    assert what_it_says(run) == "queued for curate"
    assert run_fraction(run) == pytest.approx(0.9)


def test_a_short_title_keeps_the_stream() -> None:
    run = make_run(recording_name="p/s/a-very-long-name-of-a-plate.raw.h5", stream="well003")
    assert title_of(run, 20) == "a-ver…raw.h5 well003"
    assert title_of(run) == "a-very-long-name-of-a-plate.raw.h5 well003"


@pytest.mark.parametrize("columns", [80, 120])
def test_bar_percent_and_time_show_on_every_terminal(columns: int) -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=columns, force_terminal=True, color_system=None)
    progress = {"step": "template learning", "fraction": 0.5, "spike_count": 12345, "eta_s": 95.0}
    run = make_view(recording_name="p/s/a-very-long-name-of-a-plate.raw.h5", progress=progress)
    bars = Bars(console)
    bars.show(RunUpdate(run, ()))
    bars.close()
    seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    last = [line for line in re.split(r"[\r\n]+", seen) if line.strip()][-1]
    assert re.search(r"[━╸] +48 % 0:00:0\d sort, template learning", last), last
    assert cell_len(last) <= columns


def test_a_success_tells_how_many_units_were_kept() -> None:
    result = {"n_units_sorted": 9, "n_units_curated": 7}
    run = make_run(state=RunState.SUCCEEDED, result=result)
    assert what_it_says(run) == "success: 7 of 9 units kept"


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


@pytest.mark.parametrize("state", [RunState.CANCELLED, RunState.SKIPPED, RunState.FAILED])
def test_a_run_that_stopped_early_has_no_share_of_its_way(state: RunState) -> None:
    screen = io.StringIO()
    bars = Bars(Console(file=screen, width=100, force_terminal=True, color_system=None))
    bars.show(RunUpdate(make_view(progress={"fraction": 0.5}), ()))
    bars.show(RunUpdate(make_view(state=state, stage=Stage.REPORT), ()))
    bars.close()
    seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    last = [line for line in re.split(r"[\r\n]+", seen) if line.strip()][-1]
    assert "100 %" not in last
    assert " – " in last


def test_a_held_run_tells_why_and_where_to_look() -> None:
    failure = Failure(FailureCode.MODEL_LOADING, "The model cannot be loaded.")
    then = "Next: spikefleet status run-0123456789abcdef"
    held = RunStatus.ENVIRONMENT
    text = what_it_says(make_run(state=RunState.HELD, failure=failure, status=held))
    assert text == f"held: The model cannot be loaded. {then}"
    # Another run has found the trouble; this one's failure is of an attempt before.
    text = what_it_says(make_run(state=RunState.HELD, failure=failure))
    assert text == f"held: its lane waits for an operator. {then}"
    text = what_it_says(make_run(state=RunState.HELD))
    assert text == f"held: its lane waits for an operator. {then}"


def test_a_run_that_waits_for_another_attempt_tells_when_and_why() -> None:
    failure = Failure(FailureCode.DISK_EXHAUSTION, "The scratch disk filled up.")
    due = datetime.now(UTC) + timedelta(seconds=90.5)
    run = make_run(state=RunState.WAITING, failure=failure, not_before=due)
    assert what_it_says(run) == (
        "waiting for another sort in 1 min 30 s: The scratch disk filled up."
    )
    run = make_run(state=RunState.WAITING, failure=failure)
    assert what_it_says(run).startswith("waiting for another sort soon: ")


def test_a_run_being_cancelled_is_stopping_and_to_be_watched() -> None:
    view = make_view(cancel_requested=True)
    assert what_it_says(view.run) == "stopping"
    assert [step.plain for step in next_steps([view])] == [f"Next: spikefleet watch {view.run_id}"]


def test_after_the_repair_a_held_run_s_lane_is_released() -> None:
    (step,) = next_steps([make_view(state=RunState.HELD, lane="lupin")])
    assert step.plain == "Next: spikefleet release lupin  after the repair"


def test_after_several_runs_of_a_batch_their_one_page_is_named_first() -> None:
    done = [make_view(run_id=f"run-{n}", state=RunState.SUCCEEDED) for n in range(2)]
    page = f"Next: spikefleet overview {done[0].run.batch_id} --open  to see them on one page"
    assert next_steps(done)[0].plain == page
    assert not any("overview" in step.plain for step in next_steps(done[:1]))


def test_a_skip_is_told_in_the_documented_word() -> None:
    screen = io.StringIO()
    bars = Bars(Console(file=screen, width=100, force_terminal=True, color_system=None))
    view = make_view(state=RunState.SKIPPED, status=RunStatus.UNSORTABLE)
    reason = {"reason": "Every sample is zero."}
    event = RunEvent(1, view.run_id, "decision.skip", reason, CREATED)
    bars.show(RunUpdate(view, (event,)))
    bars.close()
    assert "unsortable – Every sample is zero." in screen.getvalue()
    assert "skip" not in screen.getvalue()
