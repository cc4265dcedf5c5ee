"""The catalogues in docs/ say what the code says: series, words."""

import re

from tests.house.source import PACKAGE, ROOT

from spikefleet.core.attempts import Stage
from spikefleet.core.failures.vocabulary import Disposition, FailureCategory
from spikefleet.core.runs import RunState
from spikefleet.infra.telemetry import CATALOGUE, SeriesKind

WORDS = frozenset(
    {
        "recording",
        "stream",
        "run",
        "batch",
        "stage",
        "attempt",
        "backend",
        "guard",
        "trip",
        "failure",
        "decision",
        "ladder",
        "lane",
        "hold",
        "artifact",
        "unit",
        "manifest",
        "preset",
        "override",
        "finding",
        "verdict",
        "room",
        "storey",
        "parent",
        "child",
    }
)


def _table(name: str) -> list[list[str]]:
    """Rows of every table in a Markdown file of docs/, without heads."""
    rows = []
    for line in (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") or line.startswith("| **"):
            rows.append(cells)
    return rows


def test_every_series_is_documented_with_its_labels_and_question() -> None:
    documented = [tuple(row) for row in _table("telemetry.md")]
    exported = [
        (
            f"`{series.name}`",
            series.kind.value,
            ", ".join(f"`{label}`" for label in series.labels) or "–",
            series.question,
        )
        for series in CATALOGUE
    ]
    assert sorted(documented) == sorted(exported)


def test_every_series_has_our_prefix_and_its_kind_in_its_name() -> None:
    for series in CATALOGUE:
        assert series.name.startswith("spikefleet_")
        assert series.name.endswith("_total") == (series.kind is SeriesKind.COUNTER), series.name


def test_no_histogram_is_labelled_by_an_id() -> None:
    histograms = [series for series in CATALOGUE if series.kind is SeriesKind.HISTOGRAM]
    assert [s.name for s in histograms if any(label.endswith("_id") for label in s.labels)] == []


def test_the_glossary_explains_every_word_of_the_house() -> None:
    explained = {
        word.lower()
        for row in _table("glossary.md")
        for word in re.findall(r"\*\*(.+?)\*\*|`(.+?)`", row[0])
        for word in word
        if word
    }
    values = {
        member.value for kind in (Stage, RunState, FailureCategory, Disposition) for member in kind
    }
    assert sorted({*WORDS, *values} - explained) == []


def test_the_glossary_explains_a_word_once() -> None:
    first_cells = [row[0] for row in _table("glossary.md")]
    assert len(first_cells) == len(set(first_cells))


def test_the_architecture_page_names_every_room_and_storey() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    folders = [path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()]
    assert [name for name in folders if f"`{name}" not in page and f"{name}/" not in page] == []
