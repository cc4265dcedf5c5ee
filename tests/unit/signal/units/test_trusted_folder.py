"""What a sort left is data, or it is refused before SpikeInterface sees it."""

import json
import os
import pickle

import pytest
from tests.support.sorted_runs import write_sort

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.units.trusted_folder import require_data_only
from spikefleet.signal.units.unit_data import read_units


class Mark:
    """Runs code when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


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
