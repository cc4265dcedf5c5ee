"""Events of one root: split by when others see them and by how large they are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.rt_sort import grid

from spikefleet.rt_sort.detections import UNSEEN
from spikefleet.rt_sort.limits import limits_of
from spikefleet.rt_sort.mixtures import split_amplitudes, split_latencies
from spikefleet.rt_sort.rates import Array
from spikefleet.rt_sort.splitting import RootSplitter


def splitter(of_neighbour: NDArray[np.int8]) -> RootSplitter:
    """Electrode 0 of three in a row, 35 µm apart; electrode 1 sees these latencies, 2 nothing."""

    def latencies(electrode: int) -> NDArray[np.int8]:
        return of_neighbour if electrode == 1 else np.full(len(of_neighbour), UNSEEN, np.int8)

    return RootSplitter(0, Array.at(grid(3, 1)), limits_of("mea"), latencies)


def sizes(latencies: list[int], amplitudes: NDArray[np.float32] | None = None) -> list[int]:
    of_neighbour = np.array(latencies, dtype=np.int8)
    if amplitudes is None:
        draw = np.random.default_rng(0)
        amplitudes = draw.normal(-10, 1, len(of_neighbour)).astype(np.float32)
    return sorted(len(events) for events, _ in splitter(of_neighbour).split(amplitudes))


class TestLatencies:
    def test_two_delays_are_two_groups(self) -> None:
        assert sizes([2] * 60 + [8] * 60) == [60, 60]

    def test_a_handful_of_another_delay_is_no_group(self) -> None:
        assert sizes([2] * 60 + [8] * 5) == [60]

    def test_one_delay_with_jitter_is_one_group(self) -> None:
        draw = np.random.default_rng(1)
        jitter = np.rint(draw.normal(3, 0.8, 500)).astype(int)
        assert sizes(jitter.tolist()) == [500]

    def test_events_that_the_neighbour_does_not_see_stay_in_the_pool(self) -> None:
        assert sizes([2] * 60 + [UNSEEN] * 40) == [60]

    def test_fewer_than_ten_events_are_none(self) -> None:
        assert sizes([2] * 9) == []

    @pytest.mark.parametrize("spread", [0.5, 1.0, 1.5])
    def test_whole_frames_are_not_groups_of_their_own(self, spread: float) -> None:
        draw = np.random.default_rng(7)
        latencies = np.rint(draw.normal(0, spread, 2000)).astype(np.int8)
        assert split_latencies(latencies, 4).max() == 0

    def test_three_delays_are_told_apart(self) -> None:
        draw = np.random.default_rng(3)
        parts = [np.rint(draw.normal(mean, 0.6, 200)) for mean in (-6, 0, 7)]
        groups = split_latencies(np.concatenate(parts).astype(np.int8), 4)
        assert [len(set(groups[at : at + 200].tolist())) for at in (0, 200, 400)] == [1, 1, 1]
        assert groups.max() == 2


class TestAmplitudes:
    def test_two_sizes_are_two_groups(self) -> None:
        draw = np.random.default_rng(4)
        both = np.concatenate([draw.normal(-8, 1, 200), draw.normal(-16, 1, 200)])
        found = sizes([2] * 400, both.astype(np.float32))
        assert len(found) == 2
        assert sum(found) == 400
        assert abs(found[0] - 200) < 5

    def test_one_size_is_one_group(self) -> None:
        draw = np.random.default_rng(5)
        assert sizes([2] * 400, draw.normal(-8, 1, 400).astype(np.float32)) == [400]

    def test_equal_amplitudes_are_one_group(self) -> None:
        assert split_amplitudes(np.full(50, -9.0, dtype=np.float32), 4).max() == 0
