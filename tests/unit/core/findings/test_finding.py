"""Findings take category and remedy from the catalogue, and strict mode makes warnings fail."""

import pytest

from spikefleet.core.failures.codes import Disposition, FailureCategory, FailureCode
from spikefleet.core.failures.errors import HDF5PluginMissingError, InputCorruptError
from spikefleet.core.findings.catalogue import FINDINGS
from spikefleet.core.findings.finding import FindingLevel, as_failing, fail, warn


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


@pytest.mark.parametrize("row", [row for row in FINDINGS if row.warns], ids=lambda row: row.code)
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
    }
