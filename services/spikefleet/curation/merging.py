"""Which units a curation joins before it judges, or only says that they might be joined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spikefleet.core.config.units import CurationConfig
from spikefleet.signal.units.duplicates import MergeSuggestion, find_duplicates, merged_id
from spikefleet.signal.units.merge_presets import groups_by_preset
from spikefleet.signal.units.unit_data import UnitData
from spikefleet.signal.units.unit_edits import Merge, UnitEdits

_OURS = "duplicates"


def choose_merges(
    analyzer: Path, data: UnitData, curation: CurationConfig
) -> tuple[UnitEdits, list[dict[str, Any]]]:
    """Return what is joined, and what was suggested, JSON-ready.

    Raises InvalidConfigurationError where the wished method cannot be applied to the sort.
    """
    if curation.merge == "none":
        return UnitEdits(), []
    found = _suggestions(analyzer, data, curation)
    is_applied = curation.merge == "apply"
    edits = UnitEdits(tuple(each.merge for each in found)) if is_applied else UnitEdits()
    return edits, [each.to_json() | {"applied": is_applied} for each in found]


def _suggestions(analyzer: Path, data: UnitData, curation: CurationConfig) -> list[MergeSuggestion]:
    method = curation.merge_method
    if method == _OURS:
        return find_duplicates(data, curation.refractory_period_ms)
    return [
        MergeSuggestion(Merge(group, merged_id(group, data.unit_ids), (0,) * len(group)), method)
        for group in groups_by_preset(analyzer, method)
    ]
