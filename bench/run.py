"""Run the measurements and keep what they say: ``python -m bench.run [name ...]``.

Results go to ``bench/results/<name>.json`` and to the screen; docs/performance.md quotes them with
the machine they were taken on. A bound that is not held makes the exit code 1.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import (
    classify,
    cluster,
    command_line,
    control_plane_import,
    controller,
    curation,
    direct_upload,
    openings,
    preflight,
    preflight_verdicts,
    projection,
    recordings,
    report,
    rt_sort,
    runner_overhead,
    submissions,
    units,
    upload,
    warm_start,
)

RESULTS = Path(__file__).parent / "results"
# What all rooms took of numpy's import when the bound was first set: 0.38 of 0.10 s.
IMPORT_LIMIT_TIMES_NUMPY = 3.8


def _imports() -> tuple[dict[str, Any], bool]:
    rooms = control_plane_import.measure()
    yardstick_s = rooms.pop("numpy")["cpu_s"]
    for row in rooms.values():
        row["times_numpy"] = round(row["cpu_s"] / yardstick_s, 2)
    held = all(
        row["times_numpy"] <= IMPORT_LIMIT_TIMES_NUMPY and not row["heavy"]
        for row in rooms.values()
    )
    return rooms, held


def _runner() -> tuple[dict[str, Any], bool]:
    result = runner_overhead.measure()
    return result, bool(result["within"] and result["spikes_equal"])


BENCHES: dict[str, Callable[[], tuple[dict[str, Any], bool]]] = {
    "control_plane_import": _imports,
    "command_line": command_line.measure,
    "runner_overhead": _runner,
    "warm_start": warm_start.measure,
    "openings": openings.measure,
    "recordings": recordings.measure,
    "direct_upload": direct_upload.measure,
    "upload": upload.measure,
    "preflight": preflight.measure,
    "preflight_verdicts": preflight_verdicts.measure,
    "projection": projection.measure,
    "classify": classify.measure,
    "controller": controller.measure,
    "cluster": cluster.measure,
    "submissions": submissions.measure,
    "report": report.measure,
    "curation": curation.measure,
    "units": units.measure,
    "rt_sort": rt_sort.measure,
}


def main(names: list[str]) -> int:
    """Run the named measurements, or all of them; return 1 when a bound is not held."""
    RESULTS.mkdir(exist_ok=True)
    machine = {
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": [round(value, 1) for value in os.getloadavg()],
    }
    all_held = True
    for name in names or list(BENCHES):
        result, held = BENCHES[name]()
        all_held &= held
        document = {"machine": machine, "held": held, "result": result}
        text = json.dumps(document, indent=1)
        (RESULTS / f"{name}.json").write_text(text + "\n")
        print(f"{name}: {'held' if held else 'NOT HELD'}\n{text}")
    return 0 if all_held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
