"""What a sort is expected to need: rough upper figures for slots, claims and a person's patience.

The figures are deliberately simple. Scratch is two int16 copies of the kept signal (the prepared
copy, the sorter's whitened one) and a fixed share for waveforms. Memory is the libraries plus what
a batch of two seconds takes in float32, ten times over (filters, whitening, templates). Time
assumes a laptop: 64 channels in half of real time on a GPU, in four times real time without.
"""

from __future__ import annotations

from dataclasses import dataclass

_LIBRARIES_BYTES = 1_500_000_000
_WAVEFORMS_BYTES = 500_000_000
_BATCH_S = 2.0
_BATCH_COPIES = 10
_START_S = 15.0


@dataclass(frozen=True)
class ResourceEstimate:
    """Expected peaks of a sort, and its length."""

    memory_bytes: int
    scratch_bytes: int
    gpu_memory_bytes: int
    duration_s: float


def estimate_resources(
    *, channel_count: int, sampling_rate_hz: float, kept_s: float, on_gpu: bool
) -> ResourceEstimate:
    """Return the estimate for one stream of that size."""
    samples = channel_count * sampling_rate_hz * kept_s
    batch_bytes = channel_count * sampling_rate_hz * min(_BATCH_S, kept_s) * 4
    working_bytes = int(batch_bytes * _BATCH_COPIES)
    slowness = (0.5 if on_gpu else 4.0) * max(1.0, channel_count / 64)
    return ResourceEstimate(
        memory_bytes=_LIBRARIES_BYTES + working_bytes,
        scratch_bytes=int(2 * 2 * samples) + _WAVEFORMS_BYTES,
        gpu_memory_bytes=_LIBRARIES_BYTES + working_bytes if on_gpu else 0,
        duration_s=_START_S + kept_s * slowness,
    )
