"""What the first word of the command line costs: ``--help`` and ``--version``, whole processes.

CPU of the process and of all it starts, the least of several. The yardstick is an interpreter that
does nothing.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import Any

LIMIT_S = 0.15
REPEATS = 7
_COMMANDS = {
    "interpreter": ["-c", ""],
    "help": ["-m", "spikefleet.cli.main", "--help"],
    "version": ["-m", "spikefleet.cli.main", "--version"],
}


def measure() -> tuple[dict[str, Any], bool]:
    """Return CPU seconds of each, and whether the bound is held."""
    # Bytecode is cached on any real machine; the first repeat may still have to write it.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    found = {
        f"{name}_cpu_s": round(min(_cpu_s(words, environment) for _ in range(REPEATS)), 3)
        for name, words in _COMMANDS.items()
    }
    held = max(found["help_cpu_s"], found["version_cpu_s"]) <= LIMIT_S
    return {**found, "limit_cpu_s": LIMIT_S}, held


def _cpu_s(words: list[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    print(measure())
