"""What filled the scratch disk: the report for who must make room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikefleet.core.text import GIB
from spikefleet.infra.system.folder_usage import FolderUsage


@dataclass(frozen=True)
class DiskExhaustionReport:
    """Why the scratch disk ran out, under the names operators' scripts know; sizes in GiB.

    ``projected_need_gb`` is None when nobody projected it.
    """

    folder: str
    free_gb_at_trip: float
    abort_threshold_gb: float
    projected_need_gb: float | None
    bytes_consumed_during_sort: int
    top_consumers: tuple[tuple[str, int], ...]
    suggested_actions: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {
            "folder": self.folder,
            "free_gb_at_trip": round(self.free_gb_at_trip, 3),
            "abort_threshold_gb": round(self.abort_threshold_gb, 3),
            "projected_need_gb": self.projected_need_gb,
            "bytes_consumed_during_sort": self.bytes_consumed_during_sort,
            "top_consumers": [
                {"path": path, "size_gb": round(size / GIB, 3)} for path, size in self.top_consumers
            ],
            "suggested_actions": list(self.suggested_actions),
        }


_WORTH_NAMING = 0.01  # of a GiB; a smaller file fills no disk


def suggest_actions(
    usage: FolderUsage, *, free_bytes: float, warn_bytes: float, needed_bytes: float
) -> tuple[str, ...]:
    """Return what would make the next attempt fit, the surest first."""
    actions = []
    if needed_bytes > free_bytes:
        short = (needed_bytes - free_bytes) / GIB
        actions.append(f"give the attempt {short:.1f} GiB more scratch space; it was projected")
    else:
        actions.append(f"keep at least {warn_bytes / GIB:.1f} GiB free on the scratch disk")
    if usage.largest and usage.largest[0][1] >= _WORTH_NAMING * GIB:
        path, size = usage.largest[0]
        actions.append(f"the attempt's largest file is {path} with {size / GIB:.2f} GiB")
    actions.append("put the scratch folder on a larger disk, or sort a shorter window")
    return tuple(actions)
