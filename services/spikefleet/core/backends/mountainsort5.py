"""MountainSort 5 through SpikeInterface's class for it; whitening takes the request's seed."""

from __future__ import annotations

from spikeinterface.sorters.external.mountainsort5 import Mountainsort5Sorter

from spikefleet.core.backends.stages import StagedSorter

BACKEND = StagedSorter(
    name="mountainsort5",
    sorter_class=Mountainsort5Sorter,
    libraries=("isosplit6", "mountainsort5", "numpy", "scikit-learn"),
    seed_param="whitening_seed",
    job_kwargs_nested=False,
)
