"""Sequences of one neuron joined: nearest first, as long as two look alike.

Only sequences whose roots are within the inner radius of each other are compared. Pairs wait in a
heap; joining two makes new pairs with the joined one only.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikefleet.rt_sort.detections import UNSEEN
from spikefleet.rt_sort.limits import RtSortLimits
from spikefleet.rt_sort.sequences import (
    SeenSpikes,
    Sequence,
    SortingGround,
    rooted_at,
    shifted_latencies,
)


@dataclass(frozen=True)
class _Pair:
    """Two sequences, the one with the larger amplitude on its root first."""

    big: Sequence
    small: Sequence

    @classmethod
    def of(cls, first: Sequence, second: Sequence) -> _Pair:
        if second.amplitude[second.root] > first.amplitude[first.root]:
            return cls(second, first)
        return cls(first, second)

    def score(self, around: SortingGround) -> float:
        """How unlike they are: the sum of two shares of a limit; infinite where a test fails."""
        limits, big, small = around.limits, self.big, self.small
        far = around.array.distances_um[np.ix_(big.roots, small.roots)] >= limits.inner_radius
        if far.any() or not self._share_electrodes(limits):
            return np.inf
        both = big.compared | small.compared
        weights = np.where(both, (big.seen + small.seen) / 2.0, 0.0)
        latency = self._latency_difference(weights, limits)
        if latency > limits.max_latency_diff_sequences:
            return np.inf
        amplitude = self._amplitude_difference(weights, limits)
        if amplitude > limits.max_amp_median_diff_sequences:
            return np.inf
        if not (self._roots_agree(limits) and self._footprints_agree(limits)):
            return np.inf
        return float(
            latency / limits.max_latency_diff_sequences
            + amplitude / limits.max_amp_median_diff_sequences
        )

    def _share_electrodes(self, limits: RtSortLimits) -> bool:
        big, small = self.big, self.small
        shared = int((big.loose & small.loose).sum())
        union = int((big.loose | small.loose).sum())
        inner = int((big.inner & small.inner).sum())
        return (
            shared >= limits.min_loose_detections_n
            and shared / union >= limits.min_loose_detections_r_sequences
            and inner >= limits.min_inner_loose_detections
        )

    def _latency_difference(self, weights: NDArray[np.float64], limits: RtSortLimits) -> float:
        root, most = self.big.root, limits.max_latency_diff_sequences
        others = weights.copy()
        others[root] = 0.0
        if not others.any():
            return 0.0
        apart = np.abs(
            (self.big.latency - self.big.latency[root])
            - (self.small.latency - self.small.latency[root])
        )
        clipped = np.minimum(apart, most * limits.clip_latency_diff_factor)
        return float((others * clipped).sum() / others.sum())

    def _amplitude_difference(self, weights: NDArray[np.float64], limits: RtSortLimits) -> float:
        one, other = self.big.amplitude, self.small.amplitude
        mean = np.maximum((one + other) / 2.0, 1e-6)
        most = limits.max_amp_median_diff_sequences * limits.clip_amp_median_diff_factor
        clipped = np.minimum(np.abs(one - other) / mean, most)
        return float((weights * clipped).sum() / weights.sum())

    def _roots_agree(self, limits: RtSortLimits) -> bool:
        roots = [*self.big.roots, *self.small.roots]
        apart = np.abs(self.big.amplitude[roots] - self.small.amplitude[roots])
        least = np.minimum(self.big.spread[roots], self.small.spread[roots])
        return bool((apart <= limits.max_root_amp_median_std_sequences * least).all())

    def _footprints_agree(self, limits: RtSortLimits) -> bool:
        either = self.big.loose | self.small.loose
        one = self.big.amplitude[either].astype(np.float64)
        other = self.small.amplitude[either].astype(np.float64)
        scale = (one @ other) / max(float(other @ other), 1e-9)
        apart = float(np.sqrt(np.mean((one - scale * other) ** 2)))
        return apart <= limits.max_footprint_diff_sequences


def joined(first: Sequence, second: Sequence, around: SortingGround) -> Sequence:
    """Return one sequence of the spikes of both; one right after another is the same spike."""
    pair = _Pair.of(first, second)
    big, small = pair.big, pair.small
    frames = np.concatenate([big.frames, small.frames])
    order = np.argsort(frames, kind="stable")
    kept = order[_apart(frames[order], around.counts.overlap)]
    # Times of the small one stay; its latencies are those after the big one's root.
    columns = _stacked(big, small, kept)
    roots = tuple(dict.fromkeys([*big.roots, *small.roots]))
    return around.describe(roots, big.splits, frames[kept], columns)


def _apart(frames: NDArray[np.int64], overlap: int) -> NDArray[np.bool_]:
    """Which frames are more than ``overlap`` after the last one that was kept."""
    kept = np.ones(len(frames), dtype=bool)
    last = None
    for index, frame in enumerate(frames.tolist()):
        kept[index] = last is None or frame - last > overlap
        if kept[index]:
            last = frame
    return kept


def _stacked(
    big: Sequence, small: Sequence, kept: NDArray[np.int64]
) -> tuple[NDArray[np.int64], SeenSpikes]:
    """Rows of both on the electrodes of either."""
    electrodes = np.union1d(big.electrodes, small.electrodes)
    rows = len(big.frames) + len(small.frames)
    probabilities = np.zeros((rows, len(electrodes)), dtype=np.float16)
    latencies = np.full((rows, len(electrodes)), UNSEEN, dtype=np.int8)
    amplitudes = np.zeros((rows, len(electrodes)), dtype=np.float16)
    if big.root in small.electrodes:
        late = shifted_latencies(small, big.root)
    else:
        late = small.measured.latencies
    start = 0
    for part, of_part in ((big, big.measured.latencies), (small, late)):
        columns = np.searchsorted(electrodes, part.electrodes)
        at = np.ix_(np.arange(start, start + len(part.frames)), columns)
        probabilities[at] = part.measured.probabilities
        latencies[at] = of_part
        amplitudes[at] = part.measured.amplitudes
        start += len(part.frames)
    return electrodes, SeenSpikes(probabilities[kept], latencies[kept], amplitudes[kept])


def merge(sequences: list[Sequence], around: SortingGround) -> list[Sequence]:
    """Join the two most alike again and again until no two pass; the order given decides ties."""
    alive: dict[int, Sequence] = dict(enumerate(sequences))
    at_root: dict[int, set[int]] = {}
    waiting: list[tuple[float, int, int]] = []
    for index, sequence in alive.items():
        for other in sorted(_near(at_root, sequence, around)):
            _consider(waiting, (other, alive[other]), (index, sequence), around)
        at_root.setdefault(sequence.root, set()).add(index)
    heapq.heapify(waiting)
    fresh = len(sequences)
    while waiting:
        _, first, second = heapq.heappop(waiting)
        if first not in alive or second not in alive:
            continue
        for index in (first, second):
            at_root[alive[index].root].remove(index)
        made = joined(alive.pop(first), alive.pop(second), around)
        for other in _near(at_root, made, around):
            _consider(waiting, (other, alive[other]), (fresh, made), around, heapq.heappush)
        alive[fresh] = made
        at_root.setdefault(made.root, set()).add(fresh)
        fresh += 1
    return sorted(alive.values(), key=_order)


def _near(at_root: dict[int, set[int]], sequence: Sequence, around: SortingGround) -> list[int]:
    """Sequences with a root nearer than the inner radius: no others are compared."""
    apart = around.array.distances_um[sequence.root]
    return [
        index
        for root, indices in at_root.items()
        if apart[root] < around.limits.inner_radius
        for index in indices
    ]


def _consider(
    waiting: list[tuple[float, int, int]],
    first: tuple[int, Sequence],
    second: tuple[int, Sequence],
    around: SortingGround,
    add: Callable[[list[tuple[float, int, int]], tuple[float, int, int]], None] = list.append,
) -> None:
    """Let a pair that passes wait with its score."""
    score = _Pair.of(first[1], second[1]).score(around)
    if np.isfinite(score):
        add(waiting, (score, first[0], second[0]))


def _order(sequence: Sequence) -> tuple[int, int, int, tuple[int, ...]]:
    first = int(sequence.frames[0]) if len(sequence.frames) else 0
    return sequence.root, first, len(sequence.frames), sequence.splits


def merge_twice(
    sequences: list[Sequence], around: SortingGround, duration_s: float
) -> list[Sequence]:
    """Merge sequences of the same root, move roots to where spikes begin, merge all; return those
    that are large enough, sorted by root electrode."""
    by_root: dict[int, list[Sequence]] = {}
    for sequence in sorted(sequences, key=_order):
        by_root.setdefault(sequence.root, []).append(sequence)
    first = [made for root in sorted(by_root) for made in merge(by_root[root], around)]
    moved = sorted((_earliest_root(sequence, around) for sequence in first), key=_order)
    merged = merge(moved, around)
    least = around.least_spikes(duration_s)
    kept = [item for item in merged if len(item.frames) >= least and around.is_kept(item)]
    final = [_likeliest_root(sequence, around) for sequence in kept]
    return sorted((item for item in final if around.is_kept(item)), key=_order)


def _earliest_root(sequence: Sequence, around: SortingGround) -> Sequence:
    """Move the root to an electrode that is nearly as large and clearly earlier."""
    limits = around.limits
    may = sequence.amplitude >= limits.relocate_root_min_amp * sequence.amplitude[sequence.root]
    may &= sequence.seen >= limits.stringent_thresh
    if not may.any():
        return sequence
    candidates = np.flatnonzero(may)
    earliest = int(candidates[np.argmin(sequence.latency[candidates])])
    if sequence.latency[earliest] > limits.relocate_root_max_latency:
        return sequence
    return rooted_at(sequence, earliest, around)


def _likeliest_root(sequence: Sequence, around: SortingGround) -> Sequence:
    """Move the root to the electrode that sees the spikes most surely."""
    likeliest = int(np.argmax(sequence.seen))
    if sequence.roots == (likeliest,):
        return sequence
    return rooted_at(sequence, likeliest, around)
