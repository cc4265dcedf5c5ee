"""Spyking Circus 2."""

from __future__ import annotations

from spikefleet.core.sorters.row import WRITING, BackendInfo, Cost, rule

_PROGRESS = (
    rule(r"^Preprocessing the recording", "preprocess", 0.0),
    rule(WRITING, "preprocess", 0.03),
    rule(r"^get protoype waveforms", "prototype", 0.10),
    rule(r"^detect peaks", "detect", 0.15),
    rule(r"Found (?P<spikes>\d+) (peaks in total|spikes)", "", 0.0),
    rule(r"^Fit peaks svd", "features", 0.35),
    rule(r"^Transform peaks svd", "features", 0.42),
    rule(r"^split_clusters", "cluster", 0.50),
    rule(r"Kept \d+ raw clusters", "templates", 0.62),
    rule(r"^find spikes", "match", 0.68),
    rule(r"Kept \d+ units after final merging", "merge", 0.98),
)

ROW = BackendInfo(
    "spykingcircus2",
    "Spyking Circus 2",
    extra="sorters",
    distribution="spikeinterface",
    uses_gpu=False,
    progress=_PROGRESS,
    cost=Cost(455.0, 4.0, 1.25, 5.0, 4.0, 50.0, 0.5),
)
