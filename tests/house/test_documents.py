"""Pages people follow: links lead somewhere, commands and targets exist, decisions are whole."""

import re
from pathlib import Path

from tests.house.source import PACKAGE, ROOT, project_files

from spikefleet.cli.main import COMMANDS
from spikefleet.deploy.settings import Settings

DECISIONS = ROOT / "docs" / "decisions"


def _pages() -> list[Path]:
    pages = [path for path in project_files() if path.suffix == ".md"]
    assert pages
    return pages


def _written(text: str, program: str) -> set[str]:
    """First words after ``program`` in code: at the start of inline code, or of a block's line."""
    blocks = "\n".join(text.split("```")[1::2])
    at_start = re.findall(rf"^{program} ([a-z]+(?:-[a-z]+)*)\b", blocks, re.MULTILINE)
    return {*at_start, *re.findall(rf"`{program} ([a-z]+(?:-[a-z]+)*)\b", text)}


def test_every_relative_link_leads_to_a_file() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in _pages()
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


def test_the_readme_shows_every_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if not re.search(rf"\b{name}\b", text)] == []


def test_every_command_a_page_names_exists() -> None:
    for page in _pages():
        assert _written(page.read_text(encoding="utf-8"), "spikefleet") - set(COMMANDS) == set(), (
            page
        )


def test_every_make_target_a_page_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for page in _pages():
        named = _written(page.read_text(encoding="utf-8"), "make")
        assert named - targets == set(), page


def test_every_setting_of_the_service_a_page_names_exists() -> None:
    known = {f"SPIKEFLEET_{name.upper()}" for name in Settings.model_fields}
    named = {
        name
        for page in _pages()
        for name in re.findall(
            r"\bSPIKEFLEET_[A-Z][A-Z_]*[A-Z]\b", page.read_text(encoding="utf-8")
        )
    }
    assert named
    assert named - known == set()


def test_every_file_that_contributors_are_sent_to_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[a-z_0-9]+/)+[a-z_0-9.]+\.(?:py|proto|txt))`", text))
    places = (ROOT, PACKAGE, ROOT / "tests")
    assert len(named) > 20
    assert [n for n in sorted(named) if not any((place / n).exists() for place in places)] == []


def test_the_list_of_decisions_is_complete() -> None:
    listed = set(re.findall(r"\((\d{4}-[\w-]+\.md)\)", (DECISIONS / "README.md").read_text()))
    assert listed == {path.name for path in DECISIONS.glob("0*.md")}


def test_every_decision_is_dated_and_has_its_parts() -> None:
    pages = sorted(DECISIONS.glob("0*.md"))
    assert pages
    for page in pages:
        text = page.read_text(encoding="utf-8")
        parts = re.findall(r"^## (\w+)", text, re.MULTILINE)
        assert parts[0] in ("Context", "Question"), page.name
        assert {"Decision", "Consequences"} <= set(parts), page.name
        assert re.search(r"^20\d\d-\d\d-\d\d", text, re.MULTILINE), page.name
        assert len(text.splitlines()) <= 60, page.name
