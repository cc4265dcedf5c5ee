"""Projections are whole, and grow with what makes a sort grow."""

import pytest

from spikefleet.core.attempts import STAGES
from spikefleet.core.rooms.preflight import ResourceEstimate
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.preflight.estimate import estimate_resources

MB = 1_000_000


def estimate(sorter="mountainsort5", channels=64, kept_s=600.0, on_gpu=False) -> ResourceEstimate:
    return estimate_resources(
        channel_count=channels,
        sampling_rate_hz=30_000.0,
        kept_s=kept_s,
        on_gpu=on_gpu,
        sorter=sorter,
    )


@pytest.mark.parametrize("sorter", sorted(BACKENDS))
def test_every_stage_of_every_sorter_is_projected(sorter):
    found = estimate(sorter)
    assert [stage.stage for stage in found.stages] == [str(stage) for stage in STAGES]
    sort = found.stages[1]
    assert (sort.memory_bytes, sort.scratch_bytes, sort.duration_s) == (
        found.memory_bytes,
        found.scratch_bytes,
        found.duration_s,
    )
    assert all(stage.memory_bytes > 0 and stage.duration_s > 0 for stage in found.stages)


@pytest.mark.parametrize("sorter", sorted(BACKENDS))
def test_more_channels_and_more_time_need_more(sorter):
    small, wide, long = (
        estimate(sorter, **size) for size in ({}, {"channels": 128}, {"kept_s": 1_200.0})
    )
    for larger in (wide, long):
        assert larger.scratch_bytes > small.scratch_bytes
        assert larger.duration_s > small.duration_s
        assert larger.memory_bytes >= small.memory_bytes


def test_a_gpu_is_projected_only_where_there_is_one():
    assert estimate("kilosort4").gpu_memory_bytes == 0
    with_gpu = estimate("kilosort4", 385, 90.0, on_gpu=True)
    assert 5_000 * MB < with_gpu.gpu_memory_bytes < 12_000 * MB
    # A published run of this size took 193.5 s.
    assert 193.5 <= with_gpu.duration_s < 300.0


def test_gpu_memory_grows_with_the_channels():
    wide, narrow = (estimate("kilosort4", n, 300.0, on_gpu=True) for n in (1020, 384))
    assert wide.gpu_memory_bytes > 2 * narrow.gpu_memory_bytes


def test_rt_sort_needs_more_scratch_eight_bytes_a_sample():
    assert estimate("rt_sort").scratch_bytes > estimate("lupin").scratch_bytes
    found = estimate_resources(
        channel_count=1018, sampling_rate_hz=20_000.0, kept_s=600.0, on_gpu=True, sorter="rt_sort"
    )
    assert round(found.scratch_bytes / 2**30) == 91


def test_preflight_is_bounded_however_long_the_recording():
    hour, day = (estimate(channels=384, kept_s=s).stages[0] for s in (3_600.0, 86_400.0))
    assert hour.duration_s <= 120.0
    assert day.duration_s <= 120.0
    assert day.memory_bytes == hour.memory_bytes


def test_a_recording_that_is_kept_needs_room_for_itself():
    size = {"channel_count": 64, "sampling_rate_hz": 20_000.0, "kept_s": 100.0, "on_gpu": False}
    without = estimate_resources(**size, sorter="kilosort4")
    kept = estimate_resources(**size, sorter="kilosort4", keeps_recording=True)
    assert kept.scratch_bytes - without.scratch_bytes == 64 * 20_000 * 100 * 2
