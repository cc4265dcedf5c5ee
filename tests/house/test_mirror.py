"""tests/unit mirrors services/: a test file names the module it is about."""

from pathlib import Path

from tests.house.source import PACKAGE, ROOT, python_files, where

UNIT = ROOT / "tests" / "unit"


def _subject_exists(path: Path) -> bool:
    """``test_<module>.py`` or ``test_<module>_<aspect>.py`` beside the mirrored module."""
    folder = PACKAGE / path.parent.relative_to(UNIT)
    words = path.stem.removeprefix("test_").split("_")
    names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
    return any((folder / f"{name}.py").is_file() or (folder / name).is_dir() for name in names)


def test_every_unit_test_names_an_existing_module_or_package() -> None:
    tests = [path for path in python_files("tests/unit") if path.name.startswith("test_")]
    assert [where(path) for path in tests if not _subject_exists(path)] == []
