"""What a sort left is data, or it is refused before SpikeInterface sees it."""

import json
import pickle

import numpy as np
import pytest
from tests.support.hostile.sort_folders import WRITERS, Mark
from tests.support.sorted_runs import write_sort

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.units.trusted_folder import require_data_only
from spikefleet.signal.units.unit_data import read_units


@pytest.fixture
def analyzer(tmp_path):
    write_sort(tmp_path)
    return tmp_path / "analyzer"


def test_what_a_sort_leaves_is_data(analyzer):
    require_data_only(analyzer)
    assert read_units(analyzer).unit_count > 0


@pytest.mark.parametrize(
    "name",
    ["recording.pickle", "sorting/provenance.pickle", "extensions/templates/average.pkl"],
)
def test_a_pickle_is_never_loaded(analyzer, tmp_path, name):
    (analyzer / "recording.json").unlink(missing_ok=True)
    mark = tmp_path / "mark"
    target = analyzer / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(pickle.dumps(Mark(mark)))
    with pytest.raises(InputCorruptError, match="never loaded") as caught:
        read_units(analyzer)
    assert caught.value.evidence["path"] == name
    assert not mark.exists()


@pytest.mark.parametrize("key", ["class", "module"])
def test_a_document_that_names_a_foreign_class_is_refused(analyzer, key):
    document = {"kwargs": {"recording": {key: "os.system", "kwargs": {"command": "true"}}}}
    (analyzer / "recording.json").write_text(json.dumps(document))
    with pytest.raises(InputCorruptError, match=r"os\.system"):
        read_units(analyzer)


def test_a_link_is_refused(analyzer, tmp_path):
    (analyzer / "extra").symlink_to(tmp_path)
    with pytest.raises(InputCorruptError, match="link"):
        read_units(analyzer)


def test_a_document_nested_without_end_is_refused(analyzer):
    (analyzer / "recording.json").write_text("[" * 100_000)
    with pytest.raises(InputCorruptError, match="no readable document"):
        read_units(analyzer)


@pytest.mark.parametrize("attack", WRITERS)
def test_what_runs_code_or_asks_for_endless_memory_is_refused(analyzer, tmp_path, attack):
    WRITERS[attack](analyzer, tmp_path / "mark")
    with pytest.raises(InputCorruptError) as caught:
        require_data_only(analyzer)
    assert caught.value.evidence["path"]
    assert not (tmp_path / "mark").exists()


def test_another_class_of_the_library_is_refused(analyzer):
    name = "spikeinterface.core.zarrextractors.ZarrRecordingExtractor"
    document = {"class": name, "module": "spikeinterface", "kwargs": {"folder_path": "x"}}
    (analyzer / "settings.json").write_text(json.dumps([{"deep": document}]))
    with pytest.raises(InputCorruptError, match="ZarrRecordingExtractor"):
        require_data_only(analyzer)


def test_a_document_in_another_encoding_is_refused(analyzer):
    (analyzer / "settings.json").write_bytes('{"return_in_uV": true}'.encode("utf-16"))
    with pytest.raises(InputCorruptError, match="no readable document"):
        require_data_only(analyzer)


def test_an_archive_of_plain_arrays_is_data(analyzer):
    np.savez_compressed(analyzer / "more.npz", a=np.zeros(3), b=np.array(["x", "yz"]))
    require_data_only(analyzer)
