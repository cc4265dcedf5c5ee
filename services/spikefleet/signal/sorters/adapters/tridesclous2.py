"""Tridesclous 2, as SpikeInterface carries it. No intermediate arrays are kept."""

from __future__ import annotations

from spikeinterface.sorters.internal.tridesclous2 import Tridesclous2Sorter

from spikefleet.signal.sorters.stages import StagedSorter

BACKEND = StagedSorter(
    name="tridesclous2",
    sorter_class=Tridesclous2Sorter,
    libraries=("numba", "numpy", "scikit-learn"),
    seed_param="seed",
    ours={"save_array": False},
)
