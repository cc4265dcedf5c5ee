"""What a sorter that was taken over leaves: no reader of a sort runs it, confined or not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from spikeinterface.core import load, load_sorting_analyzer
from tests.support.fetched_run import write_fetched_run
from tests.support.hostile.sort_folders import WRITERS, extractor, objects, phy_folder

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.exports.write import export_results
from spikefleet.signal.units.fetched_results import load_results
from spikefleet.signal.units.unit_data import read_units

ANALYZER = "sort/analyzer"
_FOLDER_OF_SORTING = "spikeinterface.core.sortingfolder.NumpyFolderSorting"


@pytest.fixture(scope="module")
def genuine(tmp_path_factory) -> Path:
    return write_fetched_run(tmp_path_factory.mktemp("genuine") / "run")


@pytest.fixture
def run(genuine, tmp_path) -> Path:
    return Path(shutil.copytree(genuine, tmp_path / "run"))


@pytest.mark.parametrize("attack", WRITERS)
def test_a_hostile_sort_is_refused_before_anything_of_it_runs(run, tmp_path, attack):
    mark = tmp_path / "mark"
    WRITERS[attack](run / ANALYZER, mark)
    with pytest.raises(InputCorruptError) as caught:
        read_units(run / ANALYZER)
    assert caught.value.evidence["reason"] == "not_data_only"
    with pytest.raises(InputCorruptError):
        export_results(run, ["npz", "phy"])
    assert not mark.exists()
    assert not (run / "exports").exists() or not any((run / "exports").iterdir())


def test_the_attacks_would_work_on_a_reader_that_trusts(run, tmp_path):
    WRITERS["a property of objects"](run / ANALYZER, tmp_path / "first")
    load_sorting_analyzer(run / ANALYZER)
    assert (tmp_path / "first").exists()
    folder = phy_folder(tmp_path / "ks", tmp_path / "second")
    phy = "spikeinterface.extractors.phykilosortextractors.PhySortingExtractor"
    load(extractor(phy, folder_path=str(folder)))
    assert (tmp_path / "second").exists()


@pytest.mark.parametrize("name", ["recording.json", "sorting/provenance.json"])
def test_what_an_analyzer_was_made_from_is_not_opened(run, tmp_path, name):
    """Not even where its class is one that a sort may name: its folder is not the sort's."""
    elsewhere, mark = tmp_path / "elsewhere", tmp_path / "mark"
    shutil.copytree(run / ANALYZER / "sorting", elsewhere)
    (elsewhere / "properties" / "extra.npy").write_bytes(objects(mark))
    document = extractor(_FOLDER_OF_SORTING, folder_path=str(elsewhere))
    (run / ANALYZER / name).write_text(json.dumps(document))
    assert read_units(run / ANALYZER).unit_count == 5
    assert set(export_results(run, ["npz", "phy"])) == {"npz", "phy"}
    assert not mark.exists()


def test_spikes_that_claim_a_petabyte_are_refused_by_a_notebook(run):
    WRITERS["an array of a petabyte"](run / ANALYZER, run / "mark")
    made = run / ANALYZER / "sorting" / "properties" / "extra.npy"
    made.replace(run / "sort" / "sorting" / "spikes.npy")
    with pytest.raises(InputCorruptError, match="claims more"):
        load_results(run)
