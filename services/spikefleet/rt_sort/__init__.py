"""RT-Sort: neurons found by how their action potentials travel over a dense array of electrodes.

``detect_sequences`` finds them in a recording, ``sort_offline`` sorts any recording of the same
electrodes by them, ``detect_and_sort`` does both in one pass. ``TrainedSequences`` is what is kept;
to load and look at it takes no torch. Everything is loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikefleet.rt_sort.limits import RtSortLimits, limits_of
    from spikefleet.rt_sort.sorting import (
        RtSortOptions,
        Sorted,
        detect_and_sort,
        detect_sequences,
        sort_offline,
    )
    from spikefleet.rt_sort.trained import TrainedSequences

__all__ = [
    "RtSortLimits",
    "RtSortOptions",
    "Sorted",
    "TrainedSequences",
    "detect_and_sort",
    "detect_sequences",
    "limits_of",
    "sort_offline",
]

_HOMES = {
    "RtSortLimits": "limits",
    "limits_of": "limits",
    "TrainedSequences": "trained",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'sorting')}"), name)


def __dir__() -> list[str]:
    """The public names, also those that are not loaded yet."""
    return sorted(__all__)
