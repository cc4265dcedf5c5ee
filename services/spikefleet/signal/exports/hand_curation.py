"""A fetched run's curation as one made by hand: what a copy that is edited begins with."""

from __future__ import annotations

from spikefleet.signal.exports.source import ExportSource
from spikefleet.signal.units.by_hand import HandCuration, HandVerdict, train_digest


def hand_curation(source: ExportSource) -> HandCuration:
    """Return merges, splits and the verdict on every unit, exported or not, with their trains."""
    replaced = source.edits.replaced
    made = source.edits.made_from
    units = source.results.units.values()
    return HandCuration(
        tool="spikefleet",
        edits=source.edits,
        verdicts={
            unit.unit_id: HandVerdict(
                unit.passed, unit.failed_on, str(unit.metrics.get("label") or "")
            )
            for unit in units
            if unit.unit_id not in replaced
        },
        trains={
            unit: train_digest(train)
            for unit, train in zip(source.data.unit_ids, source.data.trains(), strict=True)
            if unit not in made
        },
    )
