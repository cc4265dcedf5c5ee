"""tests/unit mirrors services/, both ways: a test names its module, a module has its test."""

from pathlib import Path

from tests.house.covered_by import COVERED_BY
from tests.house.source import PACKAGE, ROOT, in_package, python_files, where

UNIT = ROOT / "tests" / "unit"


def _is_named(subject: str, test: str) -> bool:
    """The test's name holds the module's, or begins a family's (``checks_*``)."""
    name = test.removeprefix("test_")
    return f"_{subject}_" in f"_{name}_" or subject.startswith(f"{name}_")


def _subject_exists(path: Path) -> bool:
    folder = PACKAGE / path.parent.relative_to(UNIT)
    subjects = [found.stem for found in folder.glob("*") if found.stem != "__init__"]
    return any(_is_named(subject, path.stem) for subject in subjects)


def _modules() -> list[Path]:
    return [path for path in python_files("services/spikefleet") if path.stem != "__init__"]


def _has_a_unit_test(module: Path) -> bool:
    folder = UNIT / module.parent.relative_to(PACKAGE)
    return any(_is_named(module.stem, test.stem) for test in folder.glob("test_*.py"))


def _in_table(module: Path) -> list[str]:
    name = Path(in_package(module))
    return [pattern for pattern in COVERED_BY if name.match(pattern)]


def test_every_unit_test_names_an_existing_module_or_package() -> None:
    tests = [path for path in python_files("tests/unit") if path.name.startswith("test_")]
    assert [where(path) for path in tests if not _subject_exists(path)] == []


def test_every_module_has_a_unit_test_or_is_in_the_table_of_those_that_hold_it() -> None:
    alone = [where(path) for path in _modules() if not _has_a_unit_test(path)]
    told = {where(path) for path in _modules() if _in_table(path)}
    assert [name for name in alone if name not in told] == [], "add a test, or a row to covered_by"


def test_every_row_of_the_table_names_a_test_that_is_there_and_is_still_needed() -> None:
    absent = {test for test in COVERED_BY.values() if not (ROOT / "tests" / test).is_file()}
    assert absent == set()
    needed = {row for path in _modules() if not _has_a_unit_test(path) for row in _in_table(path)}
    assert set(COVERED_BY) - needed == set()
