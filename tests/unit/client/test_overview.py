"""Several runs on one page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.support.runs import make_view

from spikefleet.client.overview import OverviewLine, lines_of, plates_of, sentence, to_html, to_json
from spikefleet.core.failures.codes import FailureCode, RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.run_result import RunResult
from spikefleet.core.runs import RunState


def line(stream: str, **changes: Any) -> OverviewLine:
    told: dict[str, Any] = {
        "run_id": f"run-{stream}",
        "recording": "chip",
        "backend": "lupin",
        "outcome": "success",
        "n_curated": 5,
        "n_sorted": 7,
        "cause": "",
        "next_step": "",
    }
    return OverviewLine(stream=stream, **{**told, **changes})


def test_what_a_person_must_look_at_comes_first_with_its_cause_and_step() -> None:
    failure = Failure(FailureCode.INSUFFICIENT_ACTIVITY, "The signal is silent.")
    views = [
        make_view(
            run_id="run-a",
            state=RunState.SUCCEEDED,
            status=RunStatus.SUCCESS,
            result=RunResult(n_units_curated=5, n_units_sorted=7),
        ),
        make_view(
            run_id="run-b", state=RunState.SKIPPED, status=RunStatus.UNSORTABLE, failure=failure
        ),
        make_view(run_id="run-c", state=RunState.RUNNING),
    ]
    lines = lines_of(views)
    assert [(each.run_id, each.outcome) for each in lines] == [
        ("run-b", "unsortable"),
        ("run-c", "running"),
        ("run-a", "success"),
    ]
    assert lines[0].cause == "The signal is silent."
    assert lines[0].next_step
    assert lines[2].units == "5 of 7"
    assert sentence(lines) == "3 runs: 1 unsortable, 1 running, 1 sorted."
    told = to_json(lines)
    assert (told["n_total"], told["n_succeeded"], told["n_failed"]) == (3, 1, 1)


@pytest.mark.parametrize(
    ("streams", "size", "places"),
    [
        (["well000", "well004"], (2, 3), {(0, 0), (1, 1)}),
        (["well000", "well006"], (3, 4), {(0, 0), (1, 2)}),
        (["well023", "well001"], (4, 6), {(3, 5), (0, 1)}),
        (["A1", "B3"], (2, 3), {(0, 0), (1, 2)}),
        (["H12", "A1"], (8, 12), {(7, 11), (0, 0)}),
    ],
)
def test_wells_stand_on_the_smallest_plate_that_has_them(
    streams: list[str], size: tuple[int, int], places: set[tuple[int, int]]
) -> None:
    (plate,) = plates_of([line(stream) for stream in streams])
    assert (plate.n_rows, plate.n_columns) == size
    assert set(plate.wells) == places


@pytest.mark.parametrize("streams", [["well000"], ["imec0.ap", "imec1.ap"], ["well000", "other"]])
def test_what_is_no_plate_is_not_drawn_as_one(streams: list[str]) -> None:
    assert plates_of([line(stream) for stream in streams]) == ()


def test_of_several_runs_of_a_well_the_one_to_look_at_is_shown() -> None:
    again = line("well000", run_id="run-again", outcome="failed", n_curated=None)
    (plate,) = plates_of([again, line("well000"), line("well001")])
    assert plate.wells[0, 0].run_id == "run-again"


def test_the_page_loads_nothing_and_words_from_outside_stay_words() -> None:
    hostile = line("well000", recording="<script>alert(1)</script>", cause='"><img src=x>')
    page = to_html([hostile, line("well001", recording=hostile.recording)], "<b>night</b>")
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;b&gt;night&lt;/b&gt;" in page
    assert not re.search(r"(src|href)=\"(?!#|data:,)", page)
    assert page.count('class="well none"') == 4
    # The empty icon is a picture: a policy that forbids it is an error on the browser's console.
    assert "img-src data:" in page


def test_a_narrow_window_keeps_the_cause_wide_enough_to_read() -> None:
    page = to_html([line("well000", cause="Every sample is zero."), line("well001")], "night")
    assert page.count('<td class="cause">') == 1
    assert ".cause { min-width:" in page


def test_a_well_far_beyond_any_plate_makes_no_endless_page() -> None:
    page = to_html([line("well9999"), line("well000")], "far")
    assert len(page) < 1_000_000
