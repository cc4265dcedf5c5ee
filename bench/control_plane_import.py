"""How long the control plane takes to import, as a multiple of numpy's import; no torch in it.

Each sample is a fresh interpreter. The rooms take turns, so that a machine whose speed changes
changes it for all of them; the fastest sample of each is the cost, the rest is the machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

ROOMS = {
    "embedded": "spikefleet.deploy.embedded",
    "controller": "spikefleet.controller.servicer",
    "ingest": "spikefleet.ingest.servicer",
    "reporter": "spikefleet.reporter.servicer",
    "client": "spikefleet.client.sorting",
    "numpy": "numpy",  # the yardstick: 0.10 to 0.16 s, as fast as the machine is
}
_PROBE = """
import sys, time
start, cpu = time.perf_counter(), time.process_time()
import {module}
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
import json
heavy = [name for name in ("torch", "kilosort", "sklearn", "matplotlib", "spikeinterface")
         if name in sys.modules]
rss = next(int(line.split()[1]) for line in open("/proc/self/status") if "VmHWM" in line) // 1024
print(json.dumps({{"seconds": seconds, "cpu_s": cpu, "heavy": heavy, "rss_mb": rss}}))
"""


def measure(samples: int = 7) -> dict[str, dict]:
    """Return seconds, resident memory and heavy modules of each room's import."""
    # Bytecode is cached on any real machine; the first sample may still have to write it.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    found: dict[str, list[dict]] = {room: [] for room in ROOMS}
    for _ in range(samples):
        for room, module in ROOMS.items():
            answer = subprocess.run(
                [sys.executable, "-c", _PROBE.format(module=module)],
                check=True,
                capture_output=True,
                text=True,
                env=environment,
            )
            found[room].append(json.loads(answer.stdout))
    return {room: min(rows, key=lambda row: row["cpu_s"]) for room, rows in found.items()}


if __name__ == "__main__":
    for room, row in measure().items():
        heavy = ", ".join(row["heavy"]) or "none"
        times = f"{row['seconds']:.3f} s, {row['cpu_s']:.3f} CPU s"
        print(f"{room:12s} {times}, {row['rss_mb']} MB, heavy modules: {heavy}")
