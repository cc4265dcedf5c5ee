"""What a run's result says of its sort, in one word that can be searched for.

The words stand in the column ``sort_mark``: "" the sort is still to come, "fresh" it is still to
come and must be the run's own, "done" it is complete, "changed" it is complete with parameters that
were changed on the way, so that its spikes are not those of its digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def sort_mark(result: Mapping[str, Any]) -> str:
    """Return the word for a run's result."""
    if result.get("sort_prefix"):
        return "changed" if result.get("result_affecting") else "done"
    return "fresh" if result.get("fresh_sort") else ""
