"""Which spikes of each unit are looked at closely: a random choice that a seed repeats.

The same spikes as SpikeInterface's ``random_spikes_selection`` chooses, which compiles and imports
for a second before it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikefleet.signal.units.recording_blocks import Indices, Samples


@dataclass(frozen=True)
class Sampling:
    """How many spikes of a unit are wanted at most, and how far from the ends, in samples."""

    most: int
    margin: int
    seed: int

    def choose(self, spikes: Samples, lengths: Sequence[int], n_units: int) -> Indices:
        """Return indices into a spike vector, ascending; ``lengths`` are the segments' samples."""
        samples, ends = spikes["sample_index"], np.asarray(lengths)[spikes["segment_index"]]
        inside = np.flatnonzero((samples >= self.margin) & (samples < ends - self.margin))
        units = spikes["unit_index"][inside]
        order = inside[np.argsort(units, kind="stable")]
        bounds = np.cumsum(np.bincount(units, minlength=n_units))[:-1]
        rng = np.random.default_rng(self.seed)
        chosen = [
            rng.choice(own, size=min(self.most, own.size), replace=False, shuffle=False)
            for own in np.split(order, bounds)
        ]
        return np.sort(np.concatenate(chosen))
