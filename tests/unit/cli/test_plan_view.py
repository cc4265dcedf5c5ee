"""What a dry run says."""

from rich.console import Console

from spikefleet.cli.plan_view import plan_lines
from spikefleet.core.config import resolve
from spikefleet.core.failures.codes import FailureCategory, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.findings.finding import Finding, FindingLevel
from spikefleet.core.rooms.preflight import (
    Examination,
    PlannedRun,
    ResourceEstimate,
    SubmissionPlan,
)

WARNING = Finding(
    "short", FindingLevel.WARN, "It is short.", "Record longer.", FailureCategory.BIOLOGICAL
)
SORTED = Examination(findings=(WARNING,), estimate=ResourceEstimate(2 * 10**9, 10**7, 0, 95.0))
SILENT = Examination(failure=Failure(FailureCode.INSUFFICIENT_ACTIVITY, "It is silent."))


def said(*examinations: Examination) -> str:
    runs = tuple(PlannedRun("p/s/n", f"w{i}", each) for i, each in enumerate(examinations))
    plan = SubmissionPlan(resolve("lupin", {"snr_min": 7}).to_document(), runs)
    screen = Console(width=120)
    with screen.capture() as capture:
        for line in plan_lines(plan, "spikefleet submit x"):
            screen.print(line)
    return capture.get()


def test_a_plan_tells_needs_settings_and_doubts() -> None:
    text = said(SORTED)
    for part in ("1 min 35 s", "2 GB", "10 MB", "snr_min=7", "It is short. Record longer."):
        assert part in text
    assert text.rstrip().endswith("Next: spikefleet submit x")


def test_of_several_streams_each_doubt_names_its_own() -> None:
    text = said(SORTED, SILENT)
    assert "p/s/n w0: Noticed: It is short." in text
    assert "p/s/n w1: It is silent." in text
    assert "Nothing was started." in text


def test_a_plan_in_which_nothing_can_be_sorted_advises_no_submission() -> None:
    assert "spikefleet submit x" not in said(SILENT, SILENT)
    assert "Next: spikefleet submit x" in said(SORTED, SILENT)
