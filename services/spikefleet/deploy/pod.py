"""Entry of a sort attempt in a pod of its own: ``python -m spikefleet.deploy.pod``, no arguments.

Listens for stop signals before it imports anything of weight: the kernel drops a signal that the
first process of a container does not handle, and the pod would be killed without a word. The exit
code is the attempt's, whatever happens.
"""

from __future__ import annotations

import os
import signal
from importlib import import_module
from types import FrameType

_heard: list[str] = []


def main() -> int:
    """Run this pod's attempt; return its exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _hear)
    code: int = import_module("spikefleet.deploy.pod_attempt").carry_out(_heard)
    return code


def _hear(number: int, _frame: FrameType | None) -> None:
    _heard.append(signal.Signals(number).name)


if __name__ == "__main__":
    # At once: nothing is left to be said, and an output that nobody reads must not hold the end.
    os._exit(main())  # noqa: TID251 - the end is recorded by now
