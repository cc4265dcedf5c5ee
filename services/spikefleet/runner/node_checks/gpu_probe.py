"""Asks a short-lived process whether the GPU computes: this one never loads torch for it.

A driver that hangs or kills hits that process only, and it is given a bounded time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

MODULE = "spikefleet.runner.node_checks.gpu_probe_torch"
PATIENCE_S = 180.0
_END_PATIENCE_S = 5.0
_SAID = 2000


@dataclass(frozen=True)
class ProbeAnswer:
    """What the probe said. ``error`` is empty when the device computed; else why not."""

    error: str = ""
    device: str = ""
    torch: str = ""
    cuda: str = ""
    out_of_memory: bool = False


def probe_cuda(
    command: tuple[str, ...] = (sys.executable, "-P", "-m", MODULE),
    patience_s: float = PATIENCE_S,
) -> ProbeAnswer:
    """Run the probe; never longer than ``patience_s``, and never raises."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=complained
            )
        except OSError as error:
            return ProbeAnswer(f"the probe could not be started: {error}")
        try:
            code = process.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            with suppress(subprocess.TimeoutExpired):  # it may hang in the driver
                process.wait(timeout=_END_PATIENCE_S)
            return ProbeAnswer(f"the probe did not answer within {patience_s:.0f} s")
        said.seek(0)
        complained.seek(0)
        answer = _read(said.read(_SAID))
        if answer is not None:
            return answer
        words = complained.read()[-_SAID:].decode("utf-8", "replace").strip().splitlines()
        last = words[-1] if words else "it said nothing"
        return ProbeAnswer(f"the probe ended with {code}: {last}")


def _read(said: bytes) -> ProbeAnswer | None:
    try:
        document: Any = json.loads(said)
        return ProbeAnswer(**document)
    except (ValueError, TypeError):
        return None
