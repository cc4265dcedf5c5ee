"""Projections are held against what was used, resource by resource."""

import pytest

from spikefleet.controller.estimates import compare_projection

ESTIMATE = {
    "memory_bytes": 2_000,
    "scratch_bytes": 900,
    "gpu_memory_bytes": 0,
    "duration_s": 60.0,
}
PEAKS = {"usage.memory_bytes": 1_000.0, "usage.scratch_bytes": 1_200.0, "disk.free_bytes": 5.0}


def test_each_resource_has_both_sides_and_their_ratio():
    compared = compare_projection(ESTIMATE, PEAKS, 30.0)
    assert compared["memory_bytes"] == {"projected": 2_000.0, "used": 1_000.0, "ratio": 2.0}
    assert compared["scratch_bytes"]["ratio"] == pytest.approx(0.75)
    assert compared["duration_s"]["ratio"] == 2.0


def test_what_was_not_projected_or_not_measured_is_left_out():
    assert set(compare_projection(ESTIMATE, PEAKS)) == {"memory_bytes", "scratch_bytes"}
    assert compare_projection(None, PEAKS, 30.0) == {}
    assert compare_projection(ESTIMATE, {}, None) == {}


def test_gpu_memory_is_the_attempts_own():
    compared = compare_projection(
        ESTIMATE | {"gpu_memory_bytes": 4_000}, {"gpu_memory.own_bytes": 8_000.0}
    )
    assert compared == {"gpu_memory_bytes": {"projected": 4_000.0, "used": 8_000.0, "ratio": 0.5}}
