"""The warm process that hostile and damaged recordings are looked at from."""

from __future__ import annotations

import os
from pathlib import Path

from spikefleet.infra.system.openings import Zygote

LOOKING = "tests.support.hostile.looking"
_ROOT = Path(__file__).parents[3]


def open_looking(folder: Path) -> Zygote:
    """Start it; its copies have their scratch below ``folder``. The caller closes it."""
    path = os.pathsep.join((str(_ROOT / "services"), str(_ROOT)))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
    return Zygote((LOOKING,), environment, folder)
