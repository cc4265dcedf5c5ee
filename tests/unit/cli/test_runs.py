"""status of a run that is held, or tried again after a failure; what cancel advises."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from click.testing import CliRunner
from tests.support.runs import CREATED, make_view

from spikefleet.cli.main import cli
from spikefleet.cli.runs import _hold_lines
from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import RunView
from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FailureCode, RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.runs import Hold, RunEvent, RunState


class Holding:
    """A service with one lane on hold."""

    def holds(self) -> tuple[Hold, ...]:
        return (Hold("lupin", "The model cannot be loaded.", 2, CREATED, "run-other"),)


def said(**run: object) -> list[str]:
    view = make_view(**run)
    return [line.plain for line in _hold_lines(cast("SortingClient", Holding()), view)]


def test_a_held_run_names_lane_reason_and_who_found_it() -> None:
    (head,) = said(state=RunState.HELD, lane="lupin")
    assert "lane lupin" in head
    assert "found by run-other: The model cannot be loaded." in head


def test_the_run_that_found_it_is_this_run() -> None:
    assert "found by this run" in said(state=RunState.HELD, lane="lupin", run_id="run-other")[0]


def test_a_run_that_is_not_held_says_nothing_of_lanes() -> None:
    assert said(state=RunState.RUNNING, lane="lupin") == []
    assert said(state=RunState.HELD, lane="kilosort4") == []


def test_a_run_being_cancelled_advises_to_wait_and_an_ended_one_to_retry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = {
        "run-going": make_view(run_id="run-going", cancel_requested=True),
        "run-ended": make_view(run_id="run-ended", state=RunState.CANCELLED, cancel_requested=True),
    }

    class Cancelling:
        """A service that takes every wish."""

        def cancel(self, run_id: str, reason: str) -> RunView:
            return answers[run_id]

    @contextmanager
    def connect(address: str | None) -> Iterator[Cancelling]:
        yield Cancelling()

    monkeypatch.setattr("spikefleet.cli.runs.connected", connect)
    going = CliRunner().invoke(cli, ["cancel", "run-going"]).stdout
    assert "stopping" in going
    assert "Next: spikefleet watch run-going" in going
    assert "retry" not in going
    assert (
        "Next: spikefleet retry run-ended"
        in CliRunner().invoke(cli, ["cancel", "run-ended"]).stdout
    )


OUT_OF_MEMORY = Failure(
    FailureCode.HOST_OUT_OF_MEMORY,
    "The kernel killed the attempt.",
    rule_id="r",
    evidence={"exit_code": 137},
)


def decided(kind: str, reason: str) -> RunEvent:
    body = {"stage": "sort", "attempt": 2, "code": "host_out_of_memory", "reason": reason}
    return RunEvent(1, "run-0123456789abcdef", f"decision.{kind}", body, datetime.now(UTC))


def status_of(monkeypatch: pytest.MonkeyPatch, view: RunView, *events: RunEvent) -> str:
    class Knowing(Holding):
        """A service that knows one run."""

        def get(self, run_id: str) -> RunView:
            return view

        def events(self, run_id: str) -> tuple[RunEvent, ...]:
            return events

    @contextmanager
    def connect(address: str | None) -> Iterator[Knowing]:
        yield Knowing()

    monkeypatch.setattr("spikefleet.cli.runs.connected", connect)
    return CliRunner().invoke(cli, ["status", view.run_id], catch_exceptions=False).stdout


@pytest.mark.parametrize("state", [RunState.WAITING, RunState.QUEUED, RunState.RUNNING])
def test_a_run_that_is_tried_again_tells_what_its_last_attempt_met_and_asks_nothing_of_anybody(
    monkeypatch: pytest.MonkeyPatch, state: RunState
) -> None:
    view = make_view(
        state=state,
        failure=OUT_OF_MEMORY,
        not_before=datetime.now(UTC) + timedelta(seconds=90.2),
    )
    how = f"{OUT_OF_MEMORY.message} Retry 2 of 3 for this cause, with more memory."
    said = status_of(monkeypatch, view, decided("retry_scaled", how))
    assert "The last attempt failed (sort 2, host_out_of_memory, 0 s ago): The kernel" in said
    assert "Retry 2 of 3 for this cause, with more memory." in said
    assert ("waiting for another sort in 1 min" in said) is (state is RunState.WAITING)
    assert said.count(OUT_OF_MEMORY.message) == 2  # once in words, once in the table of decisions
    assert [line for line in said.splitlines() if "Next:" in line] == [
        f"Next: spikefleet watch {view.run_id}"
    ]


def test_a_run_whose_hold_was_released_says_that_it_continues(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    view = make_view(state=RunState.QUEUED, failure=OUT_OF_MEMORY)
    said = status_of(monkeypatch, view, decided("hold", "It had the largest memory."))
    assert "It continues since its hold was released." in said


@pytest.mark.parametrize(
    ("state", "stage", "status"),
    [
        (RunState.HELD, Stage.SORT, RunStatus.ENVIRONMENT),
        (RunState.FAILED, Stage.REPORT, RunStatus.FAILED),
        (RunState.QUEUED, Stage.REPORT, None),  # it has failed, only its report is still made
    ],
)
def test_where_somebody_must_act_the_failures_next_step_is_told(
    monkeypatch: pytest.MonkeyPatch, state: RunState, stage: Stage, status: RunStatus | None
) -> None:
    view = make_view(state=state, stage=stage, status=status, failure=OUT_OF_MEMORY)
    said = status_of(monkeypatch, view, decided("fail", "No retry."))
    assert f"Next: {OUT_OF_MEMORY.next_step}" in said
    assert "The last attempt failed" not in said


def test_a_run_in_a_lane_that_another_holds_is_not_asked_to_repair_its_own_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    view = make_view(state=RunState.HELD, lane="lupin", failure=OUT_OF_MEMORY)
    said = status_of(monkeypatch, view, decided("retry_scaled", "Retry 1 of 3."))
    assert "The last attempt failed (sort 2, host_out_of_memory" in said
    assert "found by run-other: The model cannot be loaded." in said
    assert OUT_OF_MEMORY.next_step not in said
