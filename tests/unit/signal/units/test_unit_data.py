"""Whatever a fetched folder holds, its readers answer with results or with our own errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.fetched_run import RATE_HZ, write_fetched_run
from tests.support.sorted_units import make_data, trough

from spikefleet.core.failures.errors import InputCorruptError, InputMissingError
from spikefleet.signal.exports.source import read_source
from spikefleet.signal.units.agreement import compare_sortings
from spikefleet.signal.units.fetched_results import load_results

ANALYZER = "sort/analyzer"
SPIKES = "sorting/spikes.npy"
AVERAGE = "extensions/templates/average.npy"
DOCUMENTS = {
    "curate/curation.json": 3,
    "report/recording_report.json": 3,
    "sort/timeline.json": 3,
    "sort/sorting/numpysorting_info.json": 2,
    f"{ANALYZER}/settings.json": 2,
    f"{ANALYZER}/recording_info/recording_attributes.json": 2,
    f"{ANALYZER}/sorting/numpysorting_info.json": 2,
    f"{ANALYZER}/recording_info/probegroup.json": 2,
    f"{ANALYZER}/extensions/templates/params.json": 2,
}
WRONG: tuple[Any, ...] = (None, [], {}, "x", -1, 1e400, [None], [[1]], {"a": None}, True)
STEP = 3  # of so many wrong values, one is tried


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fetched_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "run")


def places(document: Any, depth: int, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document; of a list its first entry stands for all."""
    yield before
    if len(before) == depth:
        return
    entries = document.items() if isinstance(document, dict) else ()
    if isinstance(document, list):
        entries = list(enumerate(document))[:1]
    for key, value in entries:
        yield from places(value, depth, (*before, key))


def with_value(text: str, place: tuple[Any, ...], value: Any) -> str:
    document = json.loads(text)
    if not place:
        return json.dumps(value)
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return json.dumps(document)


@pytest.mark.filterwarnings("ignore")
def test_no_document_of_another_shape_is_met_by_a_foreign_error(folder: Path) -> None:
    told: list[str] = []
    read = 0
    for name, depth in DOCUMENTS.items():
        path = folder / name
        text = path.read_text()
        tries = ((at, value) for at in places(json.loads(text), depth) for value in WRONG)
        for place, value in islice(tries, 0, None, STEP):
            path.write_text(with_value(text, place, value))
            try:
                source = read_source(folder, with_failed=True)
            except (InputCorruptError, InputMissingError) as error:
                told.append(error.message)
                continue
            trains = {name: unit.spike_frames for name, unit in source.results.units.items()}
            compare_sortings(trains, trains, RATE_HZ, delta_ms=0.4)
            read += 1
        path.write_text(text)
    assert min(len(told), read) > 100
    helps = ("--overwrite", "Fetch one with", "spikefleet status")
    assert [message for message in told if not any(help_ in message for help_ in helps)] == []


def edit_array(path: Path, **fields: int) -> None:
    """Set fields of the first record of an array."""
    array = np.load(path)
    for field, value in fields.items():
        array[field][0] = value
    np.save(path, array)


@pytest.mark.parametrize(
    "fields", [{"unit_index": 99}, {"unit_index": -1}, {"sample_index": 10**9}], ids=str
)
def test_a_spike_of_no_unit_or_no_time_is_refused(folder: Path, fields: dict[str, int]) -> None:
    edit_array(folder / ANALYZER / SPIKES, **fields)
    with pytest.raises(InputCorruptError, match="--overwrite"):
        read_source(folder)
    edit_array(folder / "sort" / SPIKES, **fields)
    with pytest.raises(InputCorruptError, match="--overwrite"):
        load_results(folder)


def test_templates_of_fewer_units_are_refused(folder: Path) -> None:
    path = folder / ANALYZER / AVERAGE
    np.save(path, np.load(path)[:3])
    with pytest.raises(InputCorruptError, match=r"templates: .*5 units.*--overwrite"):
        read_source(folder)


@pytest.mark.parametrize("ids", [[1, "1", 2, 3, 4], [1, 1, 2, 3, 4], ["\ud800", 1, 2, 3, 4]])
def test_units_that_have_one_name_are_refused(folder: Path, ids: list[object]) -> None:
    for name in ("sort/sorting", f"{ANALYZER}/sorting"):
        path = folder / name / "numpysorting_info.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"unit_ids": ids}))
        with pytest.raises(InputCorruptError, match="--overwrite"):
            load_results(folder)
    shutil.rmtree(folder / "curate")  # only the analyzer is left to tell
    with pytest.raises(InputCorruptError, match="--overwrite"):
        read_source(folder)


def test_a_unit_that_the_curation_names_twice_is_refused(folder: Path) -> None:
    path = folder / "curate" / "curation.json"
    curation = json.loads(path.read_text())
    curation["units"][1]["unit_id"] = curation["units"][0]["unit_id"]
    path.write_text(json.dumps(curation))
    with pytest.raises(InputCorruptError, match="more than one unit is called"):
        load_results(folder)


def test_the_channels_around_one_begin_with_itself_also_where_another_is_in_its_place() -> None:
    places = np.array([[0.0, 0.0], [0.0, 50.0], [0.0, 50.0], [0.0, 20.0]])
    data = make_data([[1]], trough(0, 50.0, channels=4)[np.newaxis], channel_locations_um=places)
    assert data.channels_around(2, 3) == [2, 1, 3]
    assert data.channels_around(0, 9) == [0, 3, 1, 2]
