"""What the reporter is asked and answers survives the way to a message and back."""

import pytest

from spikefleet.core.attempts import Stage
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.rooms.reporting import Artifact, ReportAnswer, ReportTask
from spikefleet.core.runs import AttemptPlace
from spikefleet.infra.rpc.convert.reporting import (
    from_artifact,
    from_render,
    from_report_answer,
    to_artifact,
    to_render,
    to_report_answer,
)

REPORT = AttemptPlace("run-1", Stage.REPORT, 1)
SORT, CURATION = AttemptPlace("run-0", Stage.SORT, 2), AttemptPlace("run-1", Stage.CURATE, 1)


@pytest.mark.parametrize(
    "task",
    [ReportTask({"run": {"run_id": "run-1"}}, REPORT, SORT, CURATION), ReportTask({}, REPORT)],
)
def test_what_is_to_be_reported_survives_the_wire_and_the_way_into_a_confined_process(task):
    assert from_render(to_render(task)) == task
    assert ReportTask.from_json(task.to_json()) == task


def test_a_reports_making_survives():
    failed = ReportAnswer(failure=Failure(FailureCode.UNCLASSIFIED, "It broke."))
    for answer in (ReportAnswer("runs/run-1/attempts/report-1", "x/report.html"), failed):
        assert from_report_answer(to_report_answer(answer)) == answer


def test_a_stored_file_survives():
    artifact = Artifact("runs/run-1/attempts/sort-1/a.npz", "sort/a.npz", 1 << 40, "f" * 64)
    assert from_artifact(to_artifact(artifact)) == artifact
