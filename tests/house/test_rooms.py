"""The storeys: who may import whom is written in .importlinter and holds here too."""

import os

import pytest
from importlinter.cli import lint_imports
from tests.house.source import PACKAGE, ROOT


def test_every_import_goes_down_the_storeys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    result = lint_imports(config_filename=str(ROOT / ".importlinter"), no_cache=True)
    assert result == os.EX_OK, capsys.readouterr().out


def test_every_storey_named_in_the_plan_is_a_folder_or_module() -> None:
    text = (ROOT / ".importlinter").read_text(encoding="utf-8")
    storeys = text.split("layers =", 1)[1].split("[", 1)[0].replace("|", " ").replace(":", " ")
    missing = [
        name
        for name in storeys.split()
        if not (PACKAGE / name).is_dir() and not (PACKAGE / f"{name}.py").is_file()
    ]
    assert missing == []
