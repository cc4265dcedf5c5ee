"""What a run's result says of its sort, in one word that can be searched for.

The words stand in the column ``sort_mark``: "" the sort is still to come, "fresh" it is still to
come and must be the run's own, "done" it is complete, "changed" it is complete with parameters that
were changed on the way, so that its spikes are not those of its digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SORT_PREFIX = "sort_prefix"  # the entry of a run's result that says its sort is complete
FRESH_SORT = "fresh_sort"  # the entry that forbids to take over another run's sort
RESULT_AFFECTING = "result_affecting"  # the entry that says: changed on the way


def sort_mark(result: Mapping[str, Any]) -> str:
    """Return the word for a run's result."""
    if result.get(SORT_PREFIX):
        return "changed" if result.get(RESULT_AFFECTING) else "done"
    return "fresh" if result.get(FRESH_SORT) else ""
