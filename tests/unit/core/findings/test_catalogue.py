"""The catalogue of findings: unique codes and whole rows."""

import pytest

from spikefleet.core.findings.catalogue import FINDINGS, row_of

FAR_TOO_MANY_WORDS = 20


def test_a_code_is_in_the_catalogue_once():
    codes = [row.code for row in FINDINGS]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("row", FINDINGS, ids=lambda row: row.code)
def test_a_row_is_whole(row):
    assert row.levels in {"note", "warn", "fail", "warn, fail"}
    assert row.trigger.endswith(".")
    assert row.remediation.endswith(".")
    assert len(row.remediation.split()) <= FAR_TOO_MANY_WORDS


def test_an_unknown_code_is_refused():
    with pytest.raises(ValueError, match="made_up"):
        row_of("made_up")
