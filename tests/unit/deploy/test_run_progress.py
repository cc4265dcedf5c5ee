"""The bar of a notebook and of the demo: what it says has to fit, and the vital part stays."""

import io

import pytest
from rich.console import Console
from tests.support.runs import make_view

from spikefleet.client.views import RunUpdate, RunView
from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.runs import RunState
from spikefleet.deploy.run_progress import RunBar, make_bars


def said(view: RunView, name: str = "") -> tuple[str, str]:
    """Return (what the bar says, what a log gets)."""
    log = io.StringIO()
    bars = make_bars(Console(file=log, width=120))
    bar = RunBar(bars, name)
    bar.show(RunUpdate(view))
    return bars.tasks[0].description, log.getvalue()


def test_a_long_name_leaves_room_for_how_the_run_ended() -> None:
    view = make_view(state=RunState.SKIPPED, status=RunStatus.UNSORTABLE)
    name = "culture of monday morning.raw.h5 well001"
    shown, logged = said(view, name)
    assert shown.startswith("culture")
    assert shown.endswith("well001 unsortable")
    assert len(shown) <= 34
    assert f"{name} unsortable" in logged


@pytest.mark.parametrize(
    ("state", "status", "word"),
    [
        (RunState.SUCCEEDED, RunStatus.SUCCESS, "success"),
        (RunState.FAILED, RunStatus.DISK_EXHAUSTED, "failed"),
        (RunState.HELD, None, "held"),
    ],
)
def test_an_end_is_told_in_its_one_word(
    state: RunState, status: RunStatus | None, word: str
) -> None:
    assert said(make_view(state=state, status=status))[0] == word


def test_a_step_named_like_its_stage_is_told_once() -> None:
    assert said(make_view(progress={"step": "sort", "fraction": 0.1}))[0] == "sort"
    assert said(make_view(progress={"step": "detect", "fraction": 0.1}))[0] == "sort: detect"


def test_brackets_in_a_name_are_shown_as_they_are() -> None:
    assert "night[1].nwb sort" in said(make_view(), "night[1].nwb")[1]
    assert "rec[red] sort" in said(make_view(), "rec[red]")[1]
