"""Offline sorting: which sequence, if any, every detected spike belongs to.

Looks at the store of detections only. At each peak on a root electrode the sequences with a root
nearby are tested; of spikes that would be one and the same, the best-scoring sequence gets it.
Nothing depends on where pieces of time are cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikefleet.rt_sort.compiled import compiled
from spikefleet.rt_sort.detections import (
    DetectionStore,
    Samples,
    at_frame,
    strongest,
)
from spikefleet.rt_sort.fixed import FixedSequences
from spikefleet.rt_sort.rates import logit, ragged
from spikefleet.rt_sort.sequences import SortingGround

BASE_SCORE = 2.1
_SEEN_BONUS = 0.5


class _Table(NamedTuple):
    """Fixed sequences for the compiled loops."""

    roots: NDArray[np.int32]
    required: NDArray[np.int32]
    spreads: NDArray[np.float32]
    offsets: NDArray[np.int64]
    electrodes: NDArray[np.int32]
    loose: NDArray[np.bool_]
    inner: NDArray[np.bool_]
    latencies: NDArray[np.float32]
    amplitudes: NDArray[np.float32]
    weights: NDArray[np.float32]


class _Places(NamedTuple):
    """The root electrodes there are, once each; of each, the electrodes around it, the roots near
    it (indices) and its sequences."""

    roots: NDArray[np.int32]
    around: NDArray[np.int64]
    around_electrode: NDArray[np.int32]
    near: NDArray[np.int64]
    near_root: NDArray[np.int32]
    own: NDArray[np.int64]
    own_sequence: NDArray[np.int32]


class _Rules(NamedTuple):
    stringent: float
    loose: float
    array_noise: int
    inner_needed: int
    before: int
    after: int
    latency: float
    latency_clip: float
    amplitude: float
    amplitude_clip: float
    root_spreads: float


class Candidates(NamedTuple):
    """Spikes that may be: frame, sequence and score, in the order of time."""

    frames: NDArray[np.int64]
    sequences: NDArray[np.int32]
    scores: NDArray[np.float32]

    def then(self, later: Candidates) -> Candidates:
        """These and later ones."""
        return Candidates(
            np.concatenate([self.frames, later.frames]),
            np.concatenate([self.sequences, later.sequences]),
            np.concatenate([self.scores, later.scores]),
        )

    def where(self, chosen: NDArray[np.bool_] | slice) -> Candidates:
        """Some of these."""
        return Candidates(self.frames[chosen], self.sequences[chosen], self.scores[chosen])


@dataclass(frozen=True)
class Assignment:
    """Which spike is whose: frames in the order of time, and the sequence of each."""

    frames: NDArray[np.int64]
    sequences: NDArray[np.int32]

    def trains(self, n_sequences: int) -> list[NDArray[np.int64]]:
        """Return the frames of each sequence."""
        order = np.argsort(self.sequences, kind="stable")
        edges = np.searchsorted(self.sequences[order], np.arange(1, n_sequences))
        return np.split(self.frames[order], edges)


class Assigner:
    """Assigns the spikes of a store to fixed sequences."""

    def __init__(self, sequences: FixedSequences, around: SortingGround) -> None:
        """Prepare the tables that every piece of time is looked at with."""
        self._around = around
        self._table = _Table(**{name: getattr(sequences, name) for name in _Table._fields})
        self._rules = _rules(around)
        self._places = _places(sequences, around)
        places = self._places.roots
        self._place_of = np.searchsorted(places, sequences.roots)
        near = around.array.distances_um[np.ix_(places, places)]
        self._conflicts = near <= around.limits.inner_radius

    def assign(self, store: DetectionStore, end: int | None = None) -> Assignment:
        """Return the spikes before frame ``end`` (default: all)."""
        found: list[Candidates] = []
        open_: Candidates | None = None
        overlap = self._around.counts.overlap
        for piece in store.pieces(0, end):
            last = piece.last if end is None else min(piece.last, end)
            fresh = self._look(piece.samples, piece.first, last)
            joined = fresh if open_ is None else open_.then(fresh)
            done, open_ = _cut(joined, last, overlap)
            found.append(self._best(done))
        if open_ is not None:
            found.append(self._best(open_))
        if not found:
            return Assignment(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32))
        frames = np.concatenate([part.frames for part in found])
        return Assignment(frames, np.concatenate([part.sequences for part in found]))

    def _look(self, samples: Samples, first: int, last: int) -> Candidates:
        rows = _candidates(samples, (first, last), self._table, self._places, self._rules)
        return Candidates(*rows)

    def _best(self, candidates: Candidates) -> Candidates:
        """Take the best-scoring candidate, drop those that would be the same spike, and so on."""
        order = np.lexsort((candidates.sequences, candidates.frames, -candidates.scores))
        places = self._place_of[candidates.sequences]
        overlap = self._around.counts.overlap
        taken = _take(candidates.frames, places, order, self._conflicts, overlap)
        return candidates.where(taken)


def _rules(around: SortingGround) -> _Rules:
    limits, counts = around.limits, around.counts
    share = round(limits.min_elecs_for_array_noise_f * len(around.array))
    return _Rules(
        stringent=logit(limits.stringent_thresh),
        loose=logit(limits.loose_thresh),
        array_noise=max(limits.min_elecs_for_array_noise_n, share),
        inner_needed=limits.min_inner_loose_detections,
        before=counts.before,
        after=counts.after,
        latency=limits.max_latency_diff_spikes,
        latency_clip=limits.max_latency_diff_spikes * limits.clip_latency_diff_factor,
        amplitude=limits.max_amp_median_diff_spikes,
        amplitude_clip=limits.max_amp_median_diff_spikes * limits.clip_amp_median_diff_factor,
        root_spreads=limits.max_root_amp_median_std_spikes,
    )


def _places(sequences: FixedSequences, around: SortingGround) -> _Places:
    roots = np.unique(sequences.roots)
    limits, array = around.limits, around.array
    near = array.distances_um[np.ix_(roots, roots)] <= limits.inner_radius
    seen = array.distances_um[roots] <= limits.outer_radius
    return _Places(
        roots.astype(np.int32),
        *ragged([np.flatnonzero(row) for row in seen]),
        *ragged([np.flatnonzero(row) for row in near]),
        *ragged([np.flatnonzero(sequences.roots == root) for root in roots]),
    )


def _cut(candidates: Candidates, last: int, overlap: int) -> tuple[Candidates, Candidates]:
    """Split at the last pause that no two conflicting spikes reach across."""
    frames = candidates.frames
    ends = np.append(frames[1:], last) - frames > overlap
    at = int(np.flatnonzero(ends)[-1]) + 1 if len(frames) and ends.any() else 0
    return candidates.where(slice(at)), candidates.where(slice(at, None))


@compiled
def _take(
    frames: NDArray[np.int64],
    places: NDArray[np.int64],
    order: NDArray[np.int64],
    conflicts: NDArray[np.bool_],
    overlap: int,
) -> NDArray[np.bool_]:
    """Which candidates are kept, best first; ``conflicts`` says which roots see one spike."""
    count = len(order)
    taken = np.zeros(count, dtype=np.bool_)
    dropped = np.zeros(count, dtype=np.bool_)
    for index in order:
        if dropped[index]:
            continue
        taken[index] = True
        frame, place = frames[index], places[index]
        for step in (-1, 1):
            other = index + step
            while 0 <= other < count and abs(frames[other] - frame) <= overlap:
                if not taken[other] and conflicts[place, places[other]]:
                    dropped[other] = True
                other += step
    return taken


@compiled
def _candidates(
    samples: Samples, frames: tuple[int, int], table: _Table, places: _Places, rules: _Rules
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    pairs = _peaks_near(samples, frames, places, rules)
    found_frames = [np.int64(0) for _ in range(0)]
    found_sequences = [np.int32(0) for _ in range(0)]
    found_scores = [np.float32(0) for _ in range(0)]
    for row in range(len(pairs)):
        frame, place = pairs[row, 0], pairs[row, 1]
        on_root = at_frame(samples, places.roots[place], frame)
        if on_root < 0 or samples.logits[on_root] < rules.stringent:
            continue
        seen_around = -1
        for at in range(places.own[place], places.own[place + 1]):
            sequence = places.own_sequence[at]
            unlike, seen = _unlikeness(samples, frame, sequence, table, rules)
            if unlike < 0.0:
                continue
            if seen_around < 0:
                seen_around = max(1, _seen_around(samples, frame, place, places, rules))
            score = BASE_SCORE - (unlike - _SEEN_BONUS * seen / seen_around)
            if score > 0.0:
                found_frames.append(frame)
                found_sequences.append(sequence)
                found_scores.append(np.float32(score))
    return (
        np.array(found_frames, dtype=np.int64),
        np.array(found_sequences, dtype=np.int32),
        np.array(found_scores, dtype=np.float32),
    )


@compiled
def _peaks_near(
    samples: Samples, frames: tuple[int, int], places: _Places, rules: _Rules
) -> NDArray[np.int64]:
    """Rows (frame, place) of every peak on a root, and every root near it; each once, in order."""
    keys = [np.int64(0) for _ in range(0)]
    count = len(places.roots)
    seen = _seen_at_once(samples, frames, rules)
    for peak in range(count):
        electrode = places.roots[peak]
        for at in range(samples.offsets[electrode], samples.offsets[electrode + 1]):
            frame = samples.frames[at]
            if frame < frames[0] or frame >= frames[1]:
                continue
            if samples.logits[at] < rules.stringent or not _is_peak(samples, electrode, at):
                continue
            if len(seen) and seen[frame - frames[0]] > rules.array_noise:
                continue
            for near in range(places.near[peak], places.near[peak + 1]):
                keys.append(frame * count + places.near_root[near])  # noqa: PERF401 - compiled
    unique = np.unique(np.array(keys, dtype=np.int64))
    pairs = np.empty((len(unique), 2), dtype=np.int64)
    for row in range(len(unique)):
        pairs[row, 0], pairs[row, 1] = unique[row] // count, unique[row] % count
    return pairs


@compiled
def _is_peak(samples: Samples, electrode: int, at: int) -> bool:
    """Whether a sample is a local maximum in time; of equal neighbours the first one is."""
    frame, here = samples.frames[at], samples.logits[at]
    before, after = at - 1, at + 1
    is_first = before < samples.offsets[electrode] or samples.frames[before] != frame - 1
    is_last = after >= samples.offsets[electrode + 1] or samples.frames[after] != frame + 1
    rises = is_first or samples.logits[before] < here
    falls = is_last or samples.logits[after] <= here
    return bool(rises and falls)


@compiled
def _seen_at_once(samples: Samples, frames: tuple[int, int], rules: _Rules) -> NDArray[np.int32]:
    """How many electrodes see something at each frame; empty where so few cannot be noise."""
    if len(samples.offsets) - 1 <= rules.array_noise:
        return np.zeros(0, dtype=np.int32)
    seen = np.zeros(frames[1] - frames[0], dtype=np.int32)
    for at in range(len(samples.frames)):
        frame = samples.frames[at]
        if frames[0] <= frame < frames[1] and samples.logits[at] >= rules.loose:
            seen[frame - frames[0]] += 1
    return seen


@compiled
def _seen_around(samples: Samples, frame: int, place: int, places: _Places, rules: _Rules) -> int:
    """How many electrodes within the outer radius of a root see something around a frame."""
    seen = 0
    for at in range(places.around[place], places.around[place + 1]):
        best = strongest(
            samples, places.around_electrode[at], frame - rules.before, frame + rules.after
        )
        if best >= 0 and samples.logits[best] >= rules.loose:
            seen += 1
    return seen


@compiled
def _unlikeness(
    samples: Samples, frame: int, sequence: int, table: _Table, rules: _Rules
) -> tuple[float, int]:
    """Shares of the two limits that a spike at a frame takes, and how many of the sequence's
    electrodes see it; (-1, 0) where a test fails."""
    first, end = table.offsets[sequence], table.offsets[sequence + 1]
    inner, seen = 0, 0
    latency, latency_weights, amplitude, weights = 0.0, 0.0, 0.0, 0.0
    for at in range(first, end):
        best = strongest(samples, table.electrodes[at], frame - rules.before, frame + rules.after)
        late, off = rules.latency_clip, rules.amplitude_clip
        if best >= 0:
            if samples.logits[best] >= rules.loose:
                seen += table.loose[at]
                inner += table.inner[at]
            size, wanted = abs(samples.amplitudes[best]), table.amplitudes[at]
            late = min(late, abs(samples.frames[best] - frame - table.latencies[at]))
            off = min(off, abs(size - wanted) / max(wanted, 1e-6))
            if at == first and abs(size - wanted) > rules.root_spreads * table.spreads[sequence]:
                return -1.0, 0
        if at > first:
            latency += table.weights[at] * late
            latency_weights += table.weights[at]
        amplitude += table.weights[at] * off
        weights += table.weights[at]
    if inner < rules.inner_needed or seen < table.required[sequence]:
        return -1.0, 0
    if latency_weights > 0.0:
        latency /= latency_weights
    amplitude /= max(weights, 1e-12)
    if latency > rules.latency or amplitude > rules.amplitude:
        return -1.0, 0
    return latency / rules.latency + amplitude / rules.amplitude, seen
