"""status of a held run: its lane, why it is on hold, and how it opens again."""

from typing import cast

from tests.support.runs import CREATED, make_view

from spikefleet.cli.runs import _hold_lines
from spikefleet.client.sorting import SortingClient
from spikefleet.core.runs import Hold, RunState


class Holding:
    """A service with one lane on hold."""

    def holds(self) -> tuple[Hold, ...]:
        return (Hold("lupin", "The model cannot be loaded.", 2, CREATED, "run-other"),)


def said(**run: object) -> list[str]:
    view = make_view(**run)
    return [line.plain for line in _hold_lines(cast("SortingClient", Holding()), view)]


def test_a_held_run_names_lane_reason_and_who_found_it() -> None:
    head, then = said(state=RunState.HELD, lane="lupin")
    assert "lane lupin" in head
    assert "found by run-other: The model cannot be loaded." in head
    assert then == "Next: spikefleet release lupin  after the repair"


def test_the_run_that_found_it_is_this_run() -> None:
    assert "found by this run" in said(state=RunState.HELD, lane="lupin", run_id="run-other")[0]


def test_a_run_that_is_not_held_says_nothing_of_lanes() -> None:
    assert said(state=RunState.RUNNING, lane="lupin") == []
    assert said(state=RunState.HELD, lane="kilosort4") == []
