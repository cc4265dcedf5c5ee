"""The sections that are promised are the sections that are made."""

import pytest
from tests.support.sorted_runs import (
    CURATION,
    REPORT,
    SORT,
    make_run_record,
    make_unsortable_record,
)

from spikefleet.core.rooms.reporting import ReportTask
from spikefleet.reporter.record import Material, build_record
from spikefleet.reporter.sections import AttemptSection, EventSection, ReportRecord


@pytest.mark.parametrize(
    "task",
    [
        ReportTask(make_run_record(), REPORT, SORT, CURATION),
        ReportTask(make_unsortable_record(), REPORT),
        ReportTask({}, REPORT),
    ],
)
def test_a_record_has_the_sections_that_are_promised_and_no_other(task):
    record = build_record(task, Material(), {})
    assert set(record) == set(ReportRecord.__annotations__)
    for section, promised in (("attempts", AttemptSection), ("events", EventSection)):
        for entry in record[section]:
            assert set(entry) == set(promised.__annotations__)
