"""What a run is expected to need, per sorter and stage: memory, GPU memory, scratch, time.

The figures are upper ones, for slots, claims and a person's patience. What a sorter takes stands in
its row of the catalogue. What a run then used is kept beside its projection.
"""

from __future__ import annotations

from spikefleet.core.attempts import Stage
from spikefleet.core.rooms.preflight import ResourceEstimate, StageEstimate
from spikefleet.core.sorters.catalogue import RT_SORT, backend_of
from spikefleet.core.sorters.row import Cost, GpuCost

_MB = 1_000_000
_MEGASAMPLES = 1e6
_ANY = Cost(700.0, 10.0, 1.25, 10.0, 6.0, 80.0, 5.7)
# A GPU sorter that was not measured is counted like the one that was.
_ON_GPU = GpuCost(2_000.0, 14.0, 40.0, 2.1, 385, 0.5)
# On top of the fit, for claims. Memory stops growing once a sorter's training is full.
_MARGIN = 1.2
_GROWS_FOR_S = 600.0
# RT-Sort keeps scaled traces as float32 and float16, and the detection model's output as float16.
# That is counted, not fitted, so no margin comes on top.
_RT_SORT_BYTES_PER_SAMPLE = 4 + 2 + 2
_KEPT_BYTES_PER_SAMPLE = 2
_PREFLIGHT = (400.0, 3.0, 130.0)  # MB, s to start, megasamples a second
_PREFLIGHT_MOST_MEGASAMPLES = 3_500.0
_CURATE = (500.0, 8.0)
_REPORT = (450.0, 10.0)


def estimate_resources(
    *,
    channel_count: int,
    sampling_rate_hz: float,
    kept_s: float,
    on_gpu: bool,
    sorter: str = "",
    keeps_recording: bool = False,
) -> ResourceEstimate:
    """Return the estimate for one stream of that size; ``keeps_recording``: with the sort."""
    megasamples = channel_count * sampling_rate_hz * kept_s / _MEGASAMPLES
    cost = backend_of(sorter).cost or _ANY
    scratch_mb = _MARGIN * (cost.scratch_mb + cost.scratch_bytes_per_sample * megasamples)
    if sorter == RT_SORT:
        scratch_mb = _RT_SORT_BYTES_PER_SAMPLE * megasamples
    scratch_mb += _KEPT_BYTES_PER_SAMPLE * megasamples if keeps_recording else 0.0
    growing = megasamples * min(1.0, _GROWS_FOR_S / kept_s) if kept_s > 0 else 0.0
    memory_mb = _MARGIN * (
        cost.memory_mb
        + cost.memory_mb_per_channel * channel_count
        + cost.memory_bytes_per_sample * growing
    )
    gpu_mb, duration_s = 0.0, cost.start_s + cost.s_per_megasample * megasamples
    if on_gpu and (gpu := cost.gpu or _ON_GPU):
        slowness = max(gpu.least_slowness, gpu.slowness * channel_count / gpu.channels)
        gpu_mb = gpu.memory_mb + gpu.memory_mb_per_channel * channel_count
        duration_s = gpu.start_s + slowness * kept_s
    sort = StageEstimate(
        stage=str(Stage.SORT),
        memory_bytes=int(memory_mb * _MB),
        scratch_bytes=int(scratch_mb * _MB),
        gpu_memory_bytes=int(gpu_mb * _MB),
        duration_s=duration_s,
    )
    stages = (_preflight(channel_count, megasamples), sort, *_after(channel_count))
    return ResourceEstimate(
        sort.memory_bytes, sort.scratch_bytes, sort.gpu_memory_bytes, sort.duration_s, stages
    )


def _preflight(channel_count: int, megasamples: float) -> StageEstimate:
    memory_mb, start_s, rate = _PREFLIGHT
    looked_at = min(megasamples, _PREFLIGHT_MOST_MEGASAMPLES)
    return StageEstimate(
        str(Stage.PREFLIGHT), int(memory_mb * _MB), 0, 0, start_s + looked_at / rate
    )


def _after(channel_count: int) -> tuple[StageEstimate, StageEstimate]:
    """Curation and report work on the analyzer: seconds, and no raw data."""
    (curate_mb, curate_s), (report_mb, report_s) = _CURATE, _REPORT
    return (
        StageEstimate(
            str(Stage.CURATE), int((curate_mb + 0.5 * channel_count) * _MB), 0, 0, curate_s
        ),
        StageEstimate(
            str(Stage.REPORT), int((report_mb + 0.5 * channel_count) * _MB), 0, 0, report_s
        ),
    )
