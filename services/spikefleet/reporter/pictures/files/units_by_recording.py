"""Which units belong to each recording of a run: all that were sorted alone, or files joined.

A run of one recording has one entry with every unit. Of recordings that were sorted as one, an
entry has the units with spikes in that recording, with the spikes that they have there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikefleet.signal.units.unit_data import IntArray, UnitData

Unit = Mapping[str, Any]


@dataclass(frozen=True)
class RecordingUnits:
    """The units of one recording: ``indices`` into the record's rows, ``spikes`` of each there."""

    name: str  #: of the recording
    indices: IntArray
    spikes: IntArray


def units_by_recording(
    data: UnitData, units: Sequence[Unit], name: str
) -> tuple[RecordingUnits, ...]:
    """Return the units of each recording in order; ``name`` is that of a recording sorted alone."""
    everyone = np.arange(len(units))
    if data.timeline is None or len(data.timeline.files) < 2:
        spikes = np.array([int(unit.get("spike_count") or 0) for unit in units], dtype=np.int64)
        return (RecordingUnits(name, everyone, spikes),)
    frames, found = data.original_samples, []
    for (start, end), file in zip(data.timeline.file_bounds, data.timeline.files, strict=True):
        inside = (frames >= start) & (frames < end)
        spikes = np.bincount(data.spike_units[inside], minlength=len(units)).astype(np.int64)
        present = np.flatnonzero(spikes)
        found.append(RecordingUnits(str(file.name), present, spikes[present]))
    return tuple(found)
