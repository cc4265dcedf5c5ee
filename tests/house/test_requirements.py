"""Every promise of the facility's service has the tests that hold it, by number."""

import ast

from tests.house.requirements import REQUIREMENTS
from tests.house.source import ROOT


def _tests() -> set[str]:
    return {
        node.name
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_the_promises_are_numbered_without_a_gap() -> None:
    assert list(REQUIREMENTS) == list(range(1, 26))


def test_every_promise_is_held_by_tests_that_exist_or_says_where_it_is_kept() -> None:
    known = _tests()
    for number, requirement in REQUIREMENTS.items():
        assert requirement.tests or requirement.elsewhere, number
        assert [name for name in requirement.tests if name not in known] == [], number
