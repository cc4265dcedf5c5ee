"""Findings take category and remedy from the catalogue, and strict mode makes warnings fail."""

import pytest

from spikefleet.core.failures.codes import Disposition, FailureCategory, FailureCode
from spikefleet.core.failures.errors import HDF5PluginMissingError, InputCorruptError
from spikefleet.core.findings.catalogue import FINDINGS, row_of
from spikefleet.core.findings.finding import (
    Finding,
    FindingLevel,
    as_failing,
    fail,
    note,
    warn,
    worst_first,
)


def test_a_warning_takes_category_and_remedy_from_the_catalogue():
    finding = warn("low_ram", "Only 1 GiB.")
    assert finding.category is FailureCategory.RESOURCE
    assert finding.remediation == "Close other programs or sort a shorter window."
    assert finding.error is None
    assert warn("low_ram", "Only 1 GiB.", "Buy more.").remediation == "Buy more."


def test_a_failing_finding_has_the_words_of_its_failure():
    finding = fail("readable", InputCorruptError("It is cut.", reason="truncated"))
    assert (finding.level, finding.message) == (FindingLevel.FAIL, "It is cut.")
    assert finding.category is FailureCategory.INPUT


@pytest.mark.parametrize("code", ["made_up", "readable"])
def test_what_the_catalogue_does_not_let_warn_is_refused(code):
    with pytest.raises(ValueError, match=code):
        warn(code, "Hm.")


@pytest.mark.parametrize("code", ["made_up", "low_ram"])
def test_what_the_catalogue_does_not_let_fail_is_refused(code):
    with pytest.raises(ValueError, match=code):
        fail(code, InputCorruptError("Hm."))


@pytest.mark.parametrize(
    "row", [row for row in FINDINGS if "warn" in row.levels], ids=lambda row: row.code
)
def test_strict_mode_makes_every_warning_a_failure_with_its_code_as_evidence(row):
    finding = as_failing(warn(row.code, "Hm."))
    assert finding.level is FindingLevel.FAIL
    assert finding.error.evidence["finding"] == row.code
    expected = {FailureCategory.RESOURCE: FailureCode.RESOURCE_OTHER}
    assert finding.error.code is expected.get(row.category, FailureCode.INVALID_CONFIGURATION)
    # To be strict is one submission's wish: it holds nobody else's lane.
    assert finding.error.row.disposition is not Disposition.HOLD


def test_strict_mode_leaves_a_failure_its_own_class():
    finding = fail("hdf5_plugin_missing", HDF5PluginMissingError("No plugin."))
    assert as_failing(finding) is finding


def test_a_finding_as_text_leaves_the_exception_out():
    assert set(warn("low_ram", "Hm.").to_json()) == {
        "level",
        "code",
        "message",
        "remediation",
        "category",
        "evidence",
    }


def test_a_finding_comes_back_from_its_text():
    found = warn("low_ram", "Only 1 GiB.", available_bytes=1 << 30)
    assert Finding.from_json(found.to_json()) == found
    assert found.evidence == {"available_bytes": 1 << 30}


def test_a_failing_finding_has_the_catalogues_remedy_unless_the_refusal_has_its_own():
    cut = fail("readable", InputCorruptError("It is cut."))
    assert cut.remediation == row_of("readable").remediation
    own = fail("readable", InputCorruptError("It is cut.", next_step="Copy it again."))
    assert own.remediation == "Copy it again."


def test_a_finding_about_one_of_several_recordings_names_it_in_words_and_evidence():
    part = fail("readable", InputCorruptError("It is cut.", reason="truncated")).of_part("day2")
    assert part.message == part.error.message == "day2: It is cut."
    assert part.evidence["recording"] == part.error.evidence["recording"] == "day2"


def test_findings_are_ordered_by_how_bad_they_are():
    found = (note("unsigned", "Hm."), warn("low_ram", "Hm."), fail("flat", InputCorruptError("!")))
    assert worst_first(found) == tuple(reversed(found))
