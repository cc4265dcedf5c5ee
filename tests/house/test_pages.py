"""The committed pages are those that the tables of the code render."""

import json
from pathlib import Path

import pytest
from scripts.pages.__main__ import PAGES, PROTO, write
from scripts.pages.failures import enum_comment, render_failures
from scripts.pages.findings import render_findings
from tests.house.source import ROOT

from spikefleet.core.config import json_schema
from spikefleet.core.failures.classify import RULES
from spikefleet.core.failures.codes import BY_CODE, FAILURES
from spikefleet.core.failures.reading.cluster_reasons import REASONS
from spikefleet.core.findings.catalogue import FINDINGS


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    write(folder)
    return folder


@pytest.mark.parametrize("name", [*PAGES, PROTO])
def test_a_committed_page_is_the_one_its_table_renders(name: str, written: Path) -> None:
    kept = (ROOT / name).read_text(encoding="utf-8")
    assert kept == (written / name).read_text(encoding="utf-8"), "run: python -m scripts.pages"


def test_the_published_schema_is_the_one_that_clients_are_sent() -> None:
    kept = json.loads((ROOT / "docs/schema/sorting-config.schema.json").read_text())
    assert kept == json.loads(json.dumps(json_schema()))
    assert kept["$id"]


def test_the_page_of_findings_names_each() -> None:
    page = render_findings()
    assert [row.code for row in FINDINGS if f"| `{row.code}` |" not in page] == []


def test_the_enum_says_of_each_failure_what_it_means() -> None:
    text = (ROOT / PROTO).read_text(encoding="utf-8")
    assert [row.code for row in FAILURES if enum_comment(row) not in text] == []


def test_the_page_of_failures_names_every_code_class_and_exit_code() -> None:
    page = render_failures()
    for row in BY_CODE.values():
        assert f"`{row.code}` | `{row.class_name}`" in page
        assert f"| {row.exit_code} |" in page or f"| ({row.number}) |" in page


def test_the_page_says_of_every_failure_what_is_known_what_is_done_and_what_to_do():
    lines = render_failures().splitlines()
    for row in FAILURES:
        line = next(line for line in lines if f"`{row.code}` | `{row.class_name}`" in line)
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        assert len(cells) == 7
        assert cells[3] == row.meaning
        assert cells[4] != "what was raised"
        assert f"(`{row.disposition}`, `{row.status}`)" in cells[5]
        assert cells[6] == row.next_step


def test_the_page_names_every_rule_and_every_reason_of_a_cluster():
    page = render_failures()
    assert all(f"`{rule.rule_id}`" in page for rule in RULES)
    assert all(f"`{word}`" in page for row in REASONS for word in row.words)
