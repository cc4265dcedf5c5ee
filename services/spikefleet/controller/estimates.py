"""A projection beside what the run then used: how far off it was, resource by resource.

Compares; projects nothing itself. Both sides are plain documents, as the run's record has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The estimate's field, and the reading of the attempt's guards that answers it.
_ANSWERED_BY: Mapping[str, str] = {
    "memory_bytes": "usage.memory_bytes",
    "scratch_bytes": "usage.scratch_bytes",
    "gpu_memory_bytes": "gpu_memory.own_bytes",
}
DURATION = "duration_s"
RESOURCES = (*_ANSWERED_BY, DURATION)


def compare_projection(
    estimate: Mapping[str, Any] | None, peaks: Mapping[str, float], wall_s: float | None = None
) -> dict[str, dict[str, float]]:
    """Return {resource: {projected, used, ratio}}; ratio is projected over used.

    Resources are memory_bytes, scratch_bytes, gpu_memory_bytes and, where ``wall_s`` says how long
    a whole sort took, duration_s. What was not projected or not measured is left out.
    """
    used: dict[str, float | None] = {
        name: peaks.get(reading) for name, reading in _ANSWERED_BY.items()
    }
    used[DURATION] = wall_s
    compared = {}
    for name, value in used.items():
        projected = (estimate or {}).get(name)
        if not isinstance(projected, (int, float)) or not value or projected <= 0 or value <= 0:
            continue
        compared[name] = {
            "projected": float(projected),
            "used": float(value),
            "ratio": round(float(projected) / float(value), 3),
        }
    return compared
