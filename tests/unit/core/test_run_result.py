"""A run's result is a document with named entries; what nobody knows stays where it is."""

from spikefleet.controller.finished_result import PRODUCED
from spikefleet.core.run_result import RunResult, entries


def test_entries_that_are_not_there_are_not_invented():
    result: RunResult = {"n_units_sorted": 5, "sort_prefix": "p"}
    assert entries(result, ("sort_prefix", "report_prefix")) == {"sort_prefix": "p"}


def test_every_entry_that_a_stage_leaves_has_its_type():
    named = {name for names in PRODUCED.values() for name in names}
    assert named <= set(RunResult.__annotations__)
    assert len(named) > 15
