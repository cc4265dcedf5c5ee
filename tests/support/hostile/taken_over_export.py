"""An export whose process was taken over: it tries what it likes, and says what it could do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def export(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Try to leave; answer with what worked, as the words of a problem."""
    folder = Path(arguments["folder"])
    outside = folder.parent
    attempts: dict[str, Callable[[], object]] = {
        "read its own run": lambda: (folder / "sort" / "timeline.json").read_text(),
        "write its exports": lambda: (folder / "exports" / "left").write_text("x"),
        "read another run": lambda: (outside / "other" / "secret").read_text(),
        "list the folder above": lambda: os.listdir(outside),
        "write beside the run": lambda: (outside / "mark").write_text("x"),
        "write into the run": lambda: (folder / "sort" / "mark").write_text("x"),
        "write to home": lambda: (Path.home() / ".spikefleet-mark").write_text("x"),
        "reach the network": lambda: socket.create_connection(("127.0.0.1", 9), timeout=1),
        "start a program": lambda: subprocess.run(["/bin/true"], check=True),
    }
    worked = [name for name, attempt in attempts.items() if _works(attempt)]
    seen = {
        "worked": worked,
        "threads": len(os.listdir("/proc/self/task")),
        "settings": sorted(name for name in os.environ if name.startswith("SPIKEFLEET_")),
        "pynwb": os.environ.get("PYNWB_NO_CACHE_DIR", ""),
    }
    return {"problem": json.dumps(seen)}


def lie(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Answer with a place outside."""
    return {"made": "../../elsewhere"}


def _works(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except ConnectionRefusedError:
        return True
    except (OSError, subprocess.SubprocessError):
        return False
    return True
