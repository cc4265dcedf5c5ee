"""Spyking Circus 2, as SpikeInterface carries it.

Ours: peak detection visits its chunks in a seeded order, so that a repeated sort repeats.
"""

from __future__ import annotations

from spikeinterface.sorters.internal.spyking_circus2 import Spykingcircus2Sorter

from spikefleet.signal.sorters.stages import StagedSorter

BACKEND = StagedSorter(
    name="spykingcircus2",
    sorter_class=Spykingcircus2Sorter,
    libraries=("hdbscan", "numba", "numpy", "scikit-learn"),
    seed_param="seed",
    ours={"deterministic_peaks_detection": True},
)
