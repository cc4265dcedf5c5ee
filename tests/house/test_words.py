"""Words a user reads: plain technical English, for readers whose second language it is.

A short list of words and phrases that a reader has to think about, each with a better one. It is
held over the pages, the commands' help, and every text of the code that is not a docstring.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.house.source import ROOT, in_package, parse, python_files

BETTER: Mapping[str, str] = {
    r"\bgo(es)? on\b": "continue",
    r"\bwent on\b|\bgone on\b": "continued",
    r"\btrying on\b": "retrying",
    r"\blies?\b": "is (of a place)",
    r"\bmend(s|ed|ing)?\b": "repair",
    r"\banew\b": "again",
    r"\btrip(s|ped)? over\b": "fail in",
    r"\bturned round\b": "inverted",
    r"\bthough it be\b": "possibly",
    r"\bnobody of ours\b": "not one of ours",
    r"\bthereof\b|\bwhereof\b|\binasmuch\b": "of it, because",
    r"\(s\)": "the plural that fits the count (core.text.counted)",
}
# Texts of other programs, quoted to be recognised, and units: "(s)" after a quantity is seconds.
_QUOTES = re.compile(
    r"core/failures/(rules|reading)/|core/config/|reporter/(figures\.py|pictures/(raster|drift)\.py)"
)
_SECONDS = re.compile(r"\((s|µm|ms)\)")


def _pages() -> list[Path]:
    docs = ROOT / "docs"
    return [ROOT / "README.md", *sorted(docs.glob("*.md")), *sorted(docs.glob("howto/*.md"))]


def _is_command(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and any(
        "click" in ast.unparse(decorator) for decorator in node.decorator_list
    )


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    """Every text of a module but its docstrings; of a command also that, for it is its help."""
    tree = parse(path)
    prose = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    help_texts = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if _is_command(node) and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and (id(node) not in prose or id(node) in help_texts):
            yield node.lineno, node.value


def _found(pattern: str) -> list[str]:
    word = re.compile(pattern, re.IGNORECASE)
    hits = []
    for page in _pages():
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            if word.search(_SECONDS.sub("", line)):
                hits.append(f"{page.relative_to(ROOT)}:{number}")
    for path in python_files("services/spikefleet"):
        if not _QUOTES.search(in_package(path)):
            hits += [
                f"{path.relative_to(ROOT)}:{number}"
                for number, text in _texts(path)
                if " " in text and word.search(text)
            ]
    return hits


def test_there_are_texts_to_look_at() -> None:
    assert len(_pages()) > 10
    assert sum(1 for path in python_files("services/spikefleet") for _ in _texts(path)) > 1000


@pytest.mark.parametrize("pattern", BETTER)
def test_no_text_has_a_word_that_a_better_one_replaces(pattern: str) -> None:
    assert _found(pattern) == [], f"better: {BETTER[pattern]}"
