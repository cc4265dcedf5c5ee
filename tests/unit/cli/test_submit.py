"""submit: how paths and options become names and presets."""

from pathlib import Path
from typing import Any

import click
import pytest

from spikefleet.cli.options import ExitCode
from spikefleet.cli.submit import Hand, _planned_code
from spikefleet.core.config import preset
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.rooms.preflight import Examination, PlannedRun, SubmissionPlan
from spikefleet.core.sorters.catalogue import BACKENDS


def _hand(*paths: str, **options: Any) -> Hand:
    defaults: dict[str, Any] = {
        "sorter": "",
        "preset": "",
        "overrides": (),
        "streams": (),
        "project": "",
        "session": "",
        "name": "",
        "in_place": None,
    }
    return Hand(tuple(Path(path) for path in paths), **{**defaults, **options})


def test_a_sorter_that_is_not_here_is_refused_with_those_that_are() -> None:
    with pytest.raises(click.UsageError, match="kilosort4") as caught:
        _hand("/data/a.nwb", sorter="no_such_sorter").chosen_preset()
    assert "did you mean" not in str(caught.value)


def test_every_sorter_that_is_here_can_be_named() -> None:
    for name in BACKENDS:
        assert preset(_hand("/data/a.nwb", sorter=name).chosen_preset()).sorter.sorter_name == name


def test_what_was_not_named_comes_from_the_path() -> None:
    (name,) = _hand("/data/2026-11-20/culture_3.raw.h5").names()
    assert str(name) == "default/2026-11-20/culture_3.raw.h5"


def test_options_name_the_recording() -> None:
    (name,) = _hand("/data/a.nwb", project="organoids", session="d42", name="slice-1").names()
    assert str(name) == "organoids/d42/slice-1"


def test_one_name_cannot_be_given_to_two_recordings() -> None:
    with pytest.raises(click.UsageError, match="--name"):
        _hand("/data/a.nwb", "/data/b.nwb", name="same").names()


def test_a_part_that_is_no_name_is_wrong_usage() -> None:
    with pytest.raises(click.UsageError, match="not a valid part"):
        _hand("/data/a.nwb", project="no spaces please").names()


@pytest.mark.parametrize(
    ("options", "preset"),
    [
        ({}, "kilosort4"),
        ({"sorter": "lupin"}, "lupin"),
        ({"preset": "rt_sort_mea"}, "rt_sort_mea"),
    ],
)
def test_a_sorters_name_is_a_preset(options: dict[str, str], preset: str) -> None:
    assert _hand("/data/a.nwb", **options).chosen_preset() == preset


def test_sorter_and_preset_exclude_each_other() -> None:
    with pytest.raises(click.UsageError, match="not both"):
        _hand("/data/a.nwb", sorter="lupin", preset="kilosort4").chosen_preset()


@pytest.mark.parametrize(
    ("failures", "code"),
    [
        ([None, FailureCode.INSUFFICIENT_ACTIVITY], ExitCode.DONE),
        ([FailureCode.INSUFFICIENT_ACTIVITY], ExitCode.DONE),
        ([FailureCode.INSUFFICIENT_ACTIVITY, FailureCode.NO_GOOD_CHANNELS], ExitCode.DONE),
        ([None, FailureCode.INPUT_CORRUPT], ExitCode.RUN_FAILED),
        ([FailureCode.INSUFFICIENT_ACTIVITY, FailureCode.INPUT_CORRUPT], ExitCode.RUN_FAILED),
        ([None, FailureCode.DISK_EXHAUSTION], ExitCode.RUN_FAILED),
        ([None], ExitCode.DONE),
    ],
)
def test_a_dry_run_ends_as_the_runs_it_foresees_would(
    failures: list[FailureCode | None], code: ExitCode
) -> None:
    looked = [Examination(failure=Failure(f, "No.") if f else None) for f in failures]
    runs = tuple(PlannedRun("p/s/n", "w", each) for each in looked)
    assert _planned_code(SubmissionPlan({}, runs)) is code


def test_a_mistyped_sorter_is_answered_with_the_nearest() -> None:
    with pytest.raises(click.UsageError, match="did you mean 'mountainsort5'"):
        _hand("/data/a.nwb", sorter="mountinsort5").chosen_preset()
