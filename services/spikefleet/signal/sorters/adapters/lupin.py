"""Lupin, SpikeInterface's own template-matching sorter. No intermediate arrays are kept."""

from __future__ import annotations

from spikeinterface.sorters.internal.lupin import LupinSorter

from spikefleet.signal.sorters.stages import StagedSorter

BACKEND = StagedSorter(
    name="lupin",
    sorter_class=LupinSorter,
    libraries=("numba", "numpy", "scikit-learn"),
    seed_param="seed",
    ours={"save_array": False},
)
