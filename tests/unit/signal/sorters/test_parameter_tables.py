"""The committed tables are those of the installed sorters."""

import json

import pytest

from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.signal.sorters.parameter_tables import FOLDER, make_table

HOW = "run: python -m spikefleet.signal.sorters.parameter_tables"


@pytest.mark.parametrize("sorter", BACKENDS)
def test_the_committed_table_is_what_the_installed_sorter_says(sorter):
    committed = json.loads((FOLDER / f"{sorter}.json").read_text(encoding="utf-8"))
    assert committed == json.loads(json.dumps(make_table(sorter))), HOW
