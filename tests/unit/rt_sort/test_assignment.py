"""Which sequence a detected spike belongs to: cases made by hand, without a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support import rt_sort as made
from tests.support.rt_sort import ground

from spikefleet.rt_sort.assignment import Assigner
from spikefleet.rt_sort.detections import DetectionStore
from spikefleet.rt_sort.fixed import FixedSequences
from spikefleet.rt_sort.sequences import SortingGround

# Two clusters of five electrodes, 20 µm apart inside; 300 µm from each other.
CLUSTER = np.array([[0, 0], [20, 0], [0, 20], [20, 20], [10, 10]], dtype=float)
POSITIONS = np.concatenate([CLUSTER, CLUSTER + np.array([300, 0])])
ROOTS = {"left": 4, "right": 9}


def sequences(*each: tuple[str, float]) -> FixedSequences:
    """Sequences at a cluster, with an amplitude on its root; the others see half of it, 1 frame
    later."""
    rows = []
    for place, size in each:
        root = ROOTS[place]
        others = list(range(root - 4, root))
        rows.append(([root, *others], [0.0, 1, 1, 1, 1], [size] + [size / 2] * 4))
    count = len(rows)
    return FixedSequences(
        roots=np.array([row[0][0] for row in rows], dtype=np.int32),
        required=np.full(count, 4, dtype=np.int32),
        spreads=np.full(count, 1.0, dtype=np.float32),
        offsets=np.arange(count + 1, dtype=np.int64) * 5,
        electrodes=np.array([at for row in rows for at in row[0]], dtype=np.int32),
        loose=np.ones(5 * count, dtype=bool),
        inner=np.ones(5 * count, dtype=bool),
        latencies=np.array([at for row in rows for at in row[1]], dtype=np.float32),
        amplitudes=np.array([at for row in rows for at in row[2]], dtype=np.float32),
        weights=np.full(5 * count, 0.9, dtype=np.float32),
    )


def spike(
    place: str, frame: int, size: float, late: int = 1
) -> list[tuple[int, int, float, float]]:
    """What a spike leaves in the store: a likely sample on every electrode of a cluster."""
    root = ROOTS[place]
    seen = [(root, frame, 3.0 + size / 100, -size)]
    return seen + [(at, frame + late, 1.0, -size / 2) for at in range(root - 4, root)]


@pytest.fixture
def around() -> SortingGround:
    return ground(POSITIONS)


def sort(
    path: Path,
    around: SortingGround,
    fixed: FixedSequences,
    spikes: list[list[tuple[int, int, float, float]]],
) -> list[list[int]]:
    seen = [row for each in spikes for row in each]
    store: DetectionStore = made.stored(path / "store.bin", len(POSITIONS), seen, 2000)
    with store:
        trains: list[NDArray[np.int64]] = Assigner(fixed, around).assign(store).trains(len(fixed))
    return [train.tolist() for train in trains]


class TestAssigner:
    def test_a_spike_goes_to_the_sequence_of_its_size(
        self, tmp_path: Path, around: SortingGround
    ) -> None:
        fixed = sequences(("left", 10.0), ("left", 14.0))
        found = sort(tmp_path, around, fixed, [spike("left", 100, 10.0), spike("left", 300, 14.0)])
        assert found == [[100], [300]]

    def test_a_spike_of_no_sequences_size_goes_nowhere(
        self, tmp_path: Path, around: SortingGround
    ) -> None:
        fixed = sequences(("left", 10.0), ("left", 14.0))
        assert sort(tmp_path, around, fixed, [spike("left", 100, 20.0)]) == [[], []]

    def test_a_spike_that_travels_otherwise_goes_nowhere(
        self, tmp_path: Path, around: SortingGround
    ) -> None:
        fixed = sequences(("left", 10.0))
        found = sort(tmp_path, around, fixed, [spike("left", 100, 10.0, late=5)])
        assert found == [[]]

    def test_a_spike_that_too_few_electrodes_see_goes_nowhere(
        self, tmp_path: Path, around: SortingGround
    ) -> None:
        seen = spike("left", 100, 10.0)[:3]
        assert sort(tmp_path, around, sequences(("left", 10.0)), [seen]) == [[]]

    @pytest.mark.parametrize(("apart", "kept"), [(3, 1), (4, 1), (6, 2)])
    def test_two_spikes_of_neighbours_are_one_within_a_fifth_of_a_millisecond(
        self, tmp_path: Path, around: SortingGround, apart: int, kept: int
    ) -> None:
        """Peaks of one electrode alone: the others' samples of the first serve both."""
        fixed = sequences(("left", 10.0))
        second = [(ROOTS["left"], 100 + apart, 2.5, -10.0)]
        others = [(at, 101 + apart, 0.9, -5.0) for at in range(4)]
        found = sort(tmp_path, around, fixed, [spike("left", 100, 10.0), second, others])
        assert len(found[0]) <= kept
        if kept == 1:
            assert found == [[100]]

    def test_far_apart_sequences_fire_in_the_same_frame(
        self, tmp_path: Path, around: SortingGround
    ) -> None:
        fixed = sequences(("left", 10.0), ("right", 10.0))
        spikes = [spike("left", 100, 10.0), spike("right", 103, 10.0)]
        assert sort(tmp_path, around, fixed, spikes) == [[100], [103]]

    def test_nothing_to_sort_gives_empty_trains(
        self, tmp_path: Path, around: SortingGround
    ) -> None:
        assert sort(tmp_path, around, sequences(("left", 10.0)), []) == [[]]
