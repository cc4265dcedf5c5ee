"""status of a held run: its lane and why it is on hold; what cancel advises."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pytest
from click.testing import CliRunner
from tests.support.runs import CREATED, make_view

from spikefleet.cli.main import cli
from spikefleet.cli.runs import _hold_lines
from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import RunView
from spikefleet.core.runs import Hold, RunState


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
