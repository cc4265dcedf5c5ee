"""What a run is expected to need, per sorter and stage: memory, GPU memory, scratch, time.

The figures are upper ones, for slots, claims and a person's patience. Those for a CPU are fitted to
whole attempts on one thread (``bench.projection``). For a GPU the time is that of a published run
of Kilosort 4 (90 s of 385 channels took 2.1 times that); its memory is assumed, with the one fact
that about 1020 channels have exhausted a card with default settings. What a run then used is kept
beside its projection.
"""

from __future__ import annotations

from dataclasses import dataclass

from spikefleet.core.attempts import Stage
from spikefleet.core.rooms.preflight import ResourceEstimate, StageEstimate

_MB = 1_000_000
_MEGASAMPLES = 1e6


@dataclass(frozen=True)
class _Cost:
    """What a sorter was seen to take on a CPU: a start, and so much for each channel or sample."""

    memory_mb: float
    memory_mb_per_channel: float
    memory_bytes_per_sample: float
    scratch_mb: float
    scratch_bytes_per_sample: float
    start_s: float
    s_per_megasample: float


_CPU: dict[str, _Cost] = {
    "mountainsort5": _Cost(250.0, 10.0, 1.25, 5.0, 6.0, 10.0, 0.65),
    "lupin": _Cost(620.0, 3.5, 1.25, 5.0, 4.0, 80.0, 0.5),
    "spykingcircus2": _Cost(455.0, 4.0, 1.25, 5.0, 4.0, 50.0, 0.5),
    "tridesclous2": _Cost(620.0, 4.2, 1.25, 5.0, 4.0, 70.0, 0.5),
    "kilosort4": _Cost(700.0, 10.0, 1.25, 10.0, 4.0, 30.0, 5.7),
}
_ANY = _Cost(700.0, 10.0, 1.25, 10.0, 6.0, 80.0, 5.7)
# On top of the fit, for claims. Memory stops growing once a sorter's training is full.
_MARGIN = 1.2
_GROWS_FOR_S = 600.0
# Kilosort 4 on a GPU: memory of the context and of what a channel adds, and time over real time.
_GPU_BASE_MB, _GPU_MB_PER_CHANNEL = 2_000.0, 14.0
_GPU_START_S, _GPU_SLOWNESS, _GPU_CHANNELS = 40.0, 2.1, 385
_GPU_LEAST_SLOWNESS = 0.5
# RT-Sort keeps scaled traces as float32 and float16, and the detection model's output as float16.
# That is counted, not fitted, so no margin comes on top.
_RT_SORT_BYTES_PER_SAMPLE = 4 + 2 + 2
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
) -> ResourceEstimate:
    """Return the estimate for one stream of that size."""
    megasamples = channel_count * sampling_rate_hz * kept_s / _MEGASAMPLES
    cost = _CPU.get(sorter, _ANY)
    scratch_mb = _MARGIN * (cost.scratch_mb + cost.scratch_bytes_per_sample * megasamples)
    if sorter == "rt_sort":
        scratch_mb = _RT_SORT_BYTES_PER_SAMPLE * megasamples
    growing = megasamples * min(1.0, _GROWS_FOR_S / kept_s) if kept_s > 0 else 0.0
    memory_mb = _MARGIN * (
        cost.memory_mb
        + cost.memory_mb_per_channel * channel_count
        + cost.memory_bytes_per_sample * growing
    )
    slowness = max(_GPU_LEAST_SLOWNESS, _GPU_SLOWNESS * channel_count / _GPU_CHANNELS)
    sort = StageEstimate(
        stage=str(Stage.SORT),
        memory_bytes=int(memory_mb * _MB),
        scratch_bytes=int(scratch_mb * _MB),
        gpu_memory_bytes=int((_GPU_BASE_MB + _GPU_MB_PER_CHANNEL * channel_count) * _MB)
        if on_gpu
        else 0,
        duration_s=_GPU_START_S + slowness * kept_s
        if on_gpu
        else cost.start_s + cost.s_per_megasample * megasamples,
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
