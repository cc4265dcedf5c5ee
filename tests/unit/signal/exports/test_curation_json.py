"""SpikeInterface's curation format: written, read by the library, read back."""

import json
import shutil

import pytest
from spikeinterface.curation.curation_model import Curation
from tests.support.fetched_run import SETTINGS

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.curation.curate import curate_into
from spikefleet.signal.exports.curation_json import read_curation_json, write_curation_json
from spikefleet.signal.exports.source import read_source
from spikefleet.signal.units.fetched_results import load_results


def curated(fetched, hand, folder):
    shutil.copytree(fetched, folder)
    shutil.rmtree(folder / "curate")
    (folder / "curate").mkdir()
    timeline = json.loads((folder / "sort" / "timeline.json").read_text())
    curate_into(folder / "curate", folder / "sort" / "analyzer", timeline, *SETTINGS, hand)
    return read_source(folder)


def edited(path, **changes):
    document = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(document))
    return read_curation_json(path)


@pytest.fixture
def written(source, tmp_path):
    write_curation_json(source, tmp_path / "curation.json")
    return tmp_path / "curation.json"


def test_spikeinterface_reads_it_and_it_comes_back_as_it_was(fetched, source, written, tmp_path):
    model = Curation(**json.loads(written.read_text()))
    run = source.results
    assert model.unit_ids == list(run.units)
    assert model.removed == [unit for unit, x in run.units.items() if not x.passed]
    assert {row.unit_id: row.labels["quality"][0] for row in model.manual_labels} == {
        unit: x.metrics["label"] for unit, x in run.units.items()
    }
    again = curated(fetched, read_curation_json(written), tmp_path / "again")
    write_curation_json(again, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == written.read_bytes()
    reasons = {unit: x.failed_on for unit, x in again.results.units.items()}
    assert reasons == {unit: x.failed_on for unit, x in run.units.items()}


def test_what_another_tool_changed_counts_and_survives_the_round_trip(fetched, written, tmp_path):
    hand = edited(
        written,
        manual_labels=[
            {"unit_id": "0", "labels": {"quality": ["MUA"]}},
            {"unit_id": "1", "quality": ["MUA"]},
            {"unit_id": "3", "labels": {"quality": ["noise"]}},
        ],
        merges=[{"unit_ids": ["0", "1"]}],
        splits=[{"unit_id": "2", "mode": "indices", "indices": [[0, 2, 4]]}],
        removed=["4"],
    )
    once = curated(fetched, hand, tmp_path / "once")
    run = load_results(tmp_path / "once")
    told = {u: (x.passed, x.failed_on, x.metrics["label"]) for u, x in run.units.items()}
    assert told["0+1"] == (True, "", "mua")
    assert told["3"] == (False, "called noise by hand", "noise")
    assert told["4"][:2] == (False, "removed by hand")
    assert len(run.units["2/1"].spike_frames) == 3
    write_curation_json(once, tmp_path / "second.json")
    twice = curated(fetched, read_curation_json(tmp_path / "second.json"), tmp_path / "twice")
    write_curation_json(twice, tmp_path / "third.json")
    assert (tmp_path / "third.json").read_bytes() == (tmp_path / "second.json").read_bytes()
    assert Curation(**json.loads((tmp_path / "third.json").read_text())).merges


def test_numbers_as_ids_and_splits_by_labels_are_understood(written):
    hand = edited(
        written,
        spikefleet=None,
        unit_ids=[0, 1, 2, 3, 4],
        manual_labels=[],
        removed=[1],
        merges=[],
        splits=[{"unit_id": 2, "mode": "labels", "labels": [1, 0, 1], "new_unit_ids": [7, 8]}],
    )
    (split,) = hand.edits.splits
    assert (split.new_ids, split.parts) == (("7", "8"), ((1,),))
    assert [unit for unit, verdict in hand.verdicts.items() if not verdict.passed] == ["1"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format_version": "3"}, "not 2"),
        ({"unit_ids": None}, "NoneType"),
        ({"removed": ["9"]}, "'9' is none of its unit_ids"),
        ({"merges": [{"unit_ids": ["0"]}]}, "two units or more"),
        ({"merges": [{"unit_ids": ["0", "1"]}, {"unit_ids": ["1", "2"]}]}, "more than once"),
        ({"splits": [{"unit_id": "0", "indices": [[-1]]}]}, "no whole number"),
        ({"manual_labels": [3]}, "format 2"),
    ],
)
def test_a_document_that_is_none_is_refused_in_one_sentence(written, changes, said):
    with pytest.raises(InputCorruptError, match=said):
        edited(written, **changes)


def test_a_curation_of_another_sort_is_refused(fetched, written, tmp_path):
    document = json.loads(written.read_text())
    document["spikefleet"]["curation"]["trains"]["0"] = "0" * 64
    written.write_text(json.dumps(document))
    with pytest.raises(InputCorruptError, match="unit '0' has other spikes"):
        curated(fetched, read_curation_json(written), tmp_path / "other")
    written.write_text("{")
    with pytest.raises(InputCorruptError, match="no JSON"):
        read_curation_json(written)


def test_a_unit_may_be_split_into_thousands_that_have_no_names_yet(written):
    indices = [[spike] for spike in range(10_000)]
    hand = edited(written, splits=[{"unit_id": "0", "indices": indices}], merges=[], removed=[])
    (split,) = hand.edits.splits
    assert split.new_ids[-1] == "0/10001"


def test_units_without_bounds_are_refused(written):
    with pytest.raises(InputCorruptError, match="more than 20000 units"):
        edited(written, unit_ids=list(range(20_001)))
