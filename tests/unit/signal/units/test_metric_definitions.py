"""The table of metrics: every column is defined, and every definition can be read."""

import subprocess
import sys
from dataclasses import fields

from spikefleet.signal.units.export import UNIT_COLUMNS
from spikefleet.signal.units.metric_definitions import metric_definitions
from spikefleet.signal.units.quality import UnitQuality
from spikefleet.signal.units.relations import UnitRelation


def test_every_column_of_the_table_of_units_has_a_definition() -> None:
    verdict = {"unit_id", "passed", "failed_on", "label", "label_why"}
    assert [name for name in UNIT_COLUMNS if name not in verdict] == list(metric_definitions())
    assert len(set(UNIT_COLUMNS)) == len(UNIT_COLUMNS)


def test_every_number_that_is_measured_here_has_a_definition() -> None:
    measured = {f.name for record in (UnitQuality, UnitRelation) for f in fields(record)}
    assert measured - {"unit_id", "channel_index"} <= set(metric_definitions())


def test_a_definition_is_words_without_a_line_break_or_a_full_stop() -> None:
    for definition in metric_definitions().values():
        assert definition.words
        assert definition.in_spikeinterface
        assert "\n" not in definition.words
        assert not definition.words.endswith(".")
        assert definition.words.count("`") % 2 == 0


def test_the_table_needs_no_library() -> None:
    look = (
        "import sys; from spikefleet.signal.units.metric_definitions import metric_definitions; "
        "print(len(metric_definitions()), {'numpy', 'spikeinterface'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert told.stdout.split(maxsplit=1) == [str(len(metric_definitions())), "set()\n"]
