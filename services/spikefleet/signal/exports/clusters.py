"""Which cluster of a Phy folder each spike is in, and what stands behind a cluster.

A template is a unit of the sort, a cluster a unit of the curation, as Phy has them: a unit that
was neither merged nor split is the cluster of its template's number; those that were made are
numbered behind all templates. Phy changes clusters and never templates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikefleet.signal.units.unit_edits import UnitEdits

IntArray = NDArray[np.int64]
FOLDER_FILE = "spikefleet.json"


@dataclass(frozen=True)
class Clusters:
    """``templates`` are the sort's units of a folder in order, ``units`` those of its clusters."""

    templates: tuple[str, ...]
    units: Mapping[int, str]

    @classmethod
    def of(cls, templates: Sequence[str], edits: UnitEdits) -> Clusters:
        """Number the clusters of the units that are made of these of the sort."""
        replaced = edits.replaced
        units = {i: unit for i, unit in enumerate(templates) if unit not in replaced}
        inside = set(templates)
        made = (new for new, parts in edits.made_from.items() if inside.issuperset(parts))
        return cls(tuple(templates), units | dict(enumerate(made, start=len(templates))))

    def of_spikes(self, spike_templates: IntArray, edits: UnitEdits) -> IntArray:
        """Return the cluster of every spike; ``spike_templates`` are in order of time."""
        found = spike_templates.astype(np.int64)
        number = {unit: cluster for cluster, unit in self.units.items()}
        index = {unit: i for i, unit in enumerate(self.templates)}
        for merge in edits.merges:
            if merge.new_id in number:
                members = [index[unit] for unit in merge.unit_ids]
                found[np.isin(spike_templates, members)] = number[merge.new_id]
        for split in edits.splits:
            if split.unit_id not in index:
                continue
            spikes = np.flatnonzero(spike_templates == index[split.unit_id])
            found[spikes] = number[split.new_ids[-1]]
            for new, part in zip(split.new_ids, split.parts, strict=False):
                found[spikes[np.asarray(part, dtype=np.int64)]] = number[new]
        return found
