"""Lupin."""

from __future__ import annotations

from spikefleet.core.sorters.row import WRITING, BackendInfo, Cost, rule

_PROGRESS = (
    rule(WRITING, "preprocess", 0.0),
    rule(r"^get protoype waveforms", "prototype", 0.05),
    rule(r"^detect peaks", "detect", 0.10),
    rule(r"detect_peaks\(\): (?P<spikes>\d+) peaks found", "", 0.0),
    rule(r"^Fit peaks svd", "features", 0.30),
    rule(r"^Transform peaks svd", "features", 0.35),
    rule(r"^split_clusters", "cluster", 0.40),
    rule(r"^estimate_templates", "templates", 0.65),
    rule(r"^find spikes", "match", 0.70),
)

ROW = BackendInfo(
    "lupin",
    "Lupin",
    extra="sorters",
    distribution="spikeinterface",
    uses_gpu=False,
    progress=_PROGRESS,
    cost=Cost(620.0, 3.5, 1.25, 5.0, 4.0, 80.0, 0.5),
)
