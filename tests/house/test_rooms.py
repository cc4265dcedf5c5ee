"""The storeys: who may import whom is written in .importlinter and holds here too."""

import subprocess
import sys
from pathlib import Path

from tests.house.source import PACKAGE, ROOT


def test_every_import_goes_down_the_storeys() -> None:
    linter = Path(sys.executable).with_name("lint-imports")  # in-process it silences all loggers
    done = subprocess.run(
        [linter, "--config", ROOT / ".importlinter", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_storey_named_in_the_plan_is_a_folder_or_module() -> None:
    text = (ROOT / ".importlinter").read_text(encoding="utf-8")
    storeys = text.split("layers =", 1)[1].split("[", 1)[0].replace("|", " ").replace(":", " ")
    missing = [
        name
        for name in storeys.split()
        if not (PACKAGE / name).is_dir() and not (PACKAGE / f"{name}.py").is_file()
    ]
    assert missing == []
