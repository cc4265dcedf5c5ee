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


def next_step_of(
    usage: FolderUsage, *, limit_bytes: float, missing_bytes: float, warn_bytes: float
) -> str:
    """Return the one thing to do, by whose room it is that ended.

    ``limit_bytes`` is the size that the attempt's own scratch was given (0: it shares a disk),
    ``missing_bytes`` what its projection needs beyond what is there.
    """
    held = f" (the attempt holds {usage.used_bytes / GIB:.1f} GiB of it)"
    if limit_bytes:
        return (
            f"The run is tried again with more scratch than {limit_bytes / GIB:.1f} GiB; if it is "
            "held, raise scratch.maxSize in the sorter's runner profile (without a cluster "
            "attempt_scratch_bytes)."
        )
    if missing_bytes > 0:
        room = f"Free at least {missing_bytes / GIB:.1f} GiB more"
    else:
        room = f"Keep at least {warn_bytes / GIB:.1f} GiB free"
    return f"{room} on the scratch disk{held}; the run waits for room and is held if none comes."
