"""How long the control plane takes to import, and that no torch comes with it.

Each sample is a fresh interpreter; the fastest of several is the cost, the rest is the machine.
"""

from __future__ import annotations

import json
import subprocess
import sys

ROOMS = {
    "embedded": "spikefleet.deploy.embedded",
    "controller": "spikefleet.controller.servicer",
    "ingest": "spikefleet.ingest.servicer",
    "reporter": "spikefleet.reporter.servicer",
    "client": "spikefleet.client.sorting",
}
_PROBE = """
import json, resource, sys, time
start = time.perf_counter()
import {module}
seconds = time.perf_counter() - start
heavy = [name for name in ("torch", "kilosort", "sklearn", "matplotlib", "spikeinterface")
         if name in sys.modules]
rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({{"seconds": seconds, "heavy": heavy, "rss_mb": rss}}))
"""


def measure(samples: int = 5) -> dict[str, dict]:
    """Return seconds, resident memory and heavy modules of each room's import."""
    results = {}
    for room, module in ROOMS.items():
        found = [
            json.loads(
                subprocess.run(
                    [sys.executable, "-c", _PROBE.format(module=module)],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
            )
            for _ in range(samples)
        ]
        results[room] = min(found, key=lambda entry: entry["seconds"])
    return results


if __name__ == "__main__":
    for room, row in measure().items():
        heavy = ", ".join(row["heavy"]) or "none"
        print(f"{room:12s} {row['seconds']:.3f} s  {row['rss_mb']:.0f} MB  heavy modules: {heavy}")
