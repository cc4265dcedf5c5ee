"""The committed page of findings is the catalogue's."""

from tests.house.source import ROOT

from spikefleet.core.findings.catalogue import FINDINGS
from spikefleet.core.findings.render import render_findings


def test_the_page_of_findings_is_in_step_with_the_catalogue():
    page = (ROOT / "docs" / "preflight.md").read_text(encoding="utf-8")
    assert page == render_findings()
    assert all(f"| `{row.code}` |" in page for row in FINDINGS)
