"""Tridesclous 2."""

from __future__ import annotations

from spikefleet.core.sorters.row import WRITING, BackendInfo, Cost, rule

_PROGRESS = (
    rule(WRITING, "preprocess", 0.0),
    rule(r"^detect peaks", "detect", 0.08),
    rule(r"detect_peaks\(\): (?P<spikes>\d+) peaks found", "", 0.0),
    rule(r"^Fit peaks svd", "features", 0.20),
    rule(r"^Transform peaks svd", "features", 0.28),
    rule(r"^split_clusters", "cluster", 0.35),
    rule(r"^estimate_templates", "templates", 0.65),
    rule(r"^find spikes", "match", 0.70),
)

ROW = BackendInfo(
    "tridesclous2",
    "Tridesclous 2",
    extra="sorters",
    distribution="spikeinterface",
    uses_gpu=False,
    progress=_PROGRESS,
    cost=Cost(620.0, 4.2, 1.25, 5.0, 4.0, 70.0, 0.5),
)
