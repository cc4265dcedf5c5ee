"""MountainSort 5."""

from __future__ import annotations

from spikefleet.core.sorters.row import SORTING_COMPONENTS, WRITING, BackendInfo, Cost, rule

_PROGRESS = (
    rule(r"^filtering$", "preprocess", 0.0),
    rule(WRITING, "preprocess", 0.02),
    rule(r"^Running phase 1 sorting", "detect", 0.25),
    rule(r"^Detected (?P<spikes>\d+) spikes", "", 0.0),
    rule(r"^Isosplit6 clustering", "cluster", 0.35),
    rule(r"^Computing templates", "templates", 0.45),
    rule(r"^Training classifier", "train", 0.50),
    rule(r"^Time chunk \d+ of \d+", "classify", 0.65),
    rule(
        r"Scheme 2 detected (?P<spikes>\d+) spikes in chunk (?P<done>\d+) of (?P<total>\d+)",
        "classify",
        0.65,
    ),
    rule(r"^Concatenating results", "save", 0.98),
)

ROW = BackendInfo(
    "mountainsort5",
    "MountainSort 5",
    extra="sorters",
    distribution="mountainsort5",
    uses_gpu=False,
    progress=_PROGRESS,
    packages=("mountainsort5/", "isosplit6/", *SORTING_COMPONENTS),
    cost=Cost(250.0, 10.0, 1.25, 5.0, 6.0, 10.0, 0.65),
)
