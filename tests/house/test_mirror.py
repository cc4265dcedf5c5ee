"""tests/unit mirrors services/: a test lies where its module lies and names it."""

from pathlib import Path

from tests.house.source import PACKAGE, ROOT, python_files, where

UNIT = ROOT / "tests" / "unit"


def _subject_exists(path: Path) -> bool:
    """The name holds a module's of the mirrored folder, or begins a family's (``checks_*``)."""
    folder = PACKAGE / path.parent.relative_to(UNIT)
    name = path.stem.removeprefix("test_")
    subjects = [found.stem for found in folder.glob("*") if found.stem != "__init__"]
    return any(
        f"_{subject}_" in f"_{name}_" or subject.startswith(f"{name}_") for subject in subjects
    )


def test_every_unit_test_names_an_existing_module_or_package() -> None:
    tests = [path for path in python_files("tests/unit") if path.name.startswith("test_")]
    assert [where(path) for path in tests if not _subject_exists(path)] == []
