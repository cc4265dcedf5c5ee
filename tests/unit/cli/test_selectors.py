"""Which runs a verb is about."""

from typing import Any, cast

import click
import pytest
from tests.support.runs import make_view

from spikefleet.cli.selectors import Selection, is_batch, is_run_or_batch
from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import BatchView, RunPage, RunView
from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.runs import RunState

RUNS = [
    make_view(run_id="run-1", state=RunState.SUCCEEDED, status=RunStatus.SUCCESS),
    make_view(run_id="run-2", state=RunState.SKIPPED, status=RunStatus.INPUT_ERROR),
    make_view(run_id="run-3", state=RunState.SKIPPED, status=RunStatus.UNSORTABLE),
    make_view(run_id="run-4", backend="lupin", recording_name="default/night/b.nwb"),
]


class Listing:
    """What a selection asks of a client: two runs a page."""

    def list(self, *, states: list[RunState], page_token: str, **query: Any) -> RunPage:
        runs = [run for run in RUNS if not states or run.state in states]
        begin = int(page_token or 0)
        more = str(begin + 2) if begin + 2 < len(runs) else ""
        return RunPage(tuple(runs[begin : begin + 2]), more)

    def get_batch(self, batch_id: str) -> BatchView:
        return BatchView(batch_id, tuple(cast("list[RunView]", RUNS[:2])))


def ids(**asked: Any) -> list[str]:
    return Selection(**asked).ids(cast("SortingClient", Listing()))


def given(**asked: Any) -> dict[str, Any]:
    none = {"run_ids": (), "states": (), "batch_id": "", "recording": "", "sorter": ""}
    return {**none, **asked}


def test_runs_and_batches_are_named_together_each_run_once() -> None:
    assert ids(run_ids=("run-4", "batch-1", "run-2")) == ["run-4", "run-1", "run-2"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"states": ("success",)}, ["run-1"]),
        ({"states": ("succeeded",)}, ["run-1"]),
        ({"states": ("unsortable",)}, ["run-3"]),
        ({"states": ("skipped",)}, ["run-2", "run-3"]),
        ({"states": ("input_error", "success")}, ["run-1", "run-2"]),
        ({"sorter": "lupin"}, ["run-4"]),
        ({"recording": "b.*"}, ["run-4"]),
        ({"recording": "default/night/*"}, ["run-4"]),
        ({"recording": "b.*", "sorter": "kilosort4"}, []),
    ],
)
def test_selectors_are_joined_by_and(asked: dict[str, Any], found: list[str]) -> None:
    assert ids(**asked) == found


def test_nothing_named_and_both_ways_at_once_are_wrong_usage() -> None:
    with pytest.raises(click.UsageError, match="name runs or batches"):
        Selection.taken(given())
    with pytest.raises(click.UsageError, match="not both"):
        Selection.taken(given(run_ids=("run-1",), sorter="lupin"))


def test_one_run_named_by_its_id_is_one_and_a_batch_is_many() -> None:
    assert Selection(("run-1",)).is_one
    assert not Selection(("batch-1",)).is_one
    assert not Selection(states=("failed",)).is_one


def test_an_id_is_no_folder() -> None:
    assert is_batch("batch-1")
    assert is_run_or_batch("run-1")
    assert not is_run_or_batch("results/run-1")
    assert not is_run_or_batch("results")
