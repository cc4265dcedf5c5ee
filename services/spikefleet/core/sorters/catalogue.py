"""The sorters that are here, by name. A new one is a line here and a file in ``rows``."""

from __future__ import annotations

from collections.abc import Mapping

from spikefleet.core.sorters.row import BackendInfo
from spikefleet.core.sorters.rows import (
    kilosort4,
    lupin,
    mountainsort5,
    rt_sort,
    spykingcircus2,
    tridesclous2,
)

_SORTERS = (kilosort4, lupin, spykingcircus2, tridesclous2, mountainsort5, rt_sort)
BACKENDS: Mapping[str, BackendInfo] = {sorter.ROW.name: sorter.ROW for sorter in _SORTERS}
# What is taken where nobody chose; a preset has the same name.
DEFAULT_SORTER = kilosort4.ROW.name
# The one sorter with a group of settings of its own.
RT_SORT = rt_sort.ROW.name


def backend_of(name: str) -> BackendInfo:
    """Return the row of a sorter; one without demands for a sorter that is not here."""
    return BACKENDS.get(name) or BackendInfo(name, name, "", "", uses_gpu=False)
