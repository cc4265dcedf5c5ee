"""RT-Sort."""

from __future__ import annotations

from spikefleet.core.sorters.row import BackendInfo, BatchKnob, Cost, LadderStep, rule

_PROGRESS = (
    rule(r"^RT-Sort: detecting spikes (?P<done>\d+)/(?P<total>\d+) s", "detect", 0.0),
    rule(r"^RT-Sort: (?P<spikes>\d+) events on root electrodes", "split", 0.80),
    rule(r"^Detected \d+ preliminary propagation sequences", "measure", 0.90),
    rule(r"sequences remain after they were measured", "assign again", 0.92),
    rule(r"sequences remain after spikes were assigned again", "merge", 0.94),
    rule(r"^RT-Sort: assigning spikes to \d+ sequences", "assign", 0.97),
    rule(r"^RT-Sort: (?P<spikes>\d+) spikes assigned", "assign", 1.0),
)

# Chunks do not change a spike: what the network gets begins at the same frames in any of them.
_LADDER = (LadderStep("host_memory_watchdog", {"chunk_frames": 4_000}, result_neutral=True),)

BATCH = BatchKnob("chunk_frames", 46_000, 2_000)

ROW = BackendInfo(
    "rt_sort",
    "RT-Sort",
    extra="sorters",
    distribution="torch",
    uses_gpu=False,
    # A sequence is seen by four electrodes at least.
    min_channels=4,
    suited_from=32,
    min_duration_s=1.1,
    progress=_PROGRESS,
    ladder=_LADDER,
    packages=("spikefleet/rt_sort/",),
    batch=BATCH,
    cost=Cost(650.0, 1.0, 0.1, 5.0, 2.2, 25.0, 2.6),
)
