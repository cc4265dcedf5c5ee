"""All that is told of every sorted unit, as one row each: the units of ``curation.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spikefleet.core.config.units import CurationConfig
from spikefleet.signal.units.aligned_spikes import measure_aligned
from spikefleet.signal.units.library_timing import measure_timing
from spikefleet.signal.units.quality import UnitQuality
from spikefleet.signal.units.relations import measure_relations
from spikefleet.signal.units.unit_data import UnitData


def unit_records(
    data: UnitData, units: Sequence[UnitQuality], curation: CurationConfig
) -> list[dict[str, Any]]:
    """Return every metric of every unit by its name, JSON-ready; what was not measured is None.

    ``units`` are what ``measure_units`` said of ``data``.
    """
    relations, timing = measure_relations(data, curation), measure_timing(data, curation)
    rows = zip(units, relations, timing, measure_aligned(data), strict=True)
    return [
        {
            **unit.to_json(),
            **relation.to_json(),
            **times.to_json(),
            **aligned.to_json(),
            **data.library.of_unit(index),
        }
        for index, (unit, relation, times, aligned) in enumerate(rows)
    ]
