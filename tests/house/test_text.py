"""What must not stand in the project's text: one machine's paths, tickets, package hosts."""

import re

import pytest
from tests.house.source import project_files, where

# Written in pieces, so that this file does not break its own rules.
REFUSED = {
    "a path of one machine": re.compile(r"(?<![\w.])/(?:work|root)/" + r"\w"),
    "a ticket number": re.compile(r"\b(?:issue|ticket|PR)\s*#?" + r"\d+", re.IGNORECASE),
    "a package host": re.compile(
        r"\b(?:" + "|".join(("pypi" + r"\.org", "python" + "hosted", "anaconda" + r"\.org")) + ")"
    ),
    "an image host": re.compile(
        r"\b(?:"
        + "|".join(("docker" + r"\.io", "gh" + r"cr\.io", "gc" + r"r\.io", "qu" + r"ay\.io"))
        + ")"
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_no_file_names(what: str) -> None:
    found = []
    for path in project_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{where(path)}:{number} {line.strip()[:80]}"
            for number, line in enumerate(text.splitlines(), 1)
            if REFUSED[what].search(line)
        ]
    assert found == []
