"""A sequence: how the spikes of one neuron look on the electrodes that see them.

Each spike of a sequence is measured on every electrode within reach: the probability that it was
seen there, when (frames after the root), and how large (σ of noise). What a sequence is compared by
are the averages of these. Where a spike was not seen on an electrode its probability is zero, and
it takes no part in the averages of latency and amplitude there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikefleet.rt_sort.compiled import compiled
from spikefleet.rt_sort.detections import (
    UNSEEN,
    DetectionStore,
    Samples,
    at_frame,
    strongest,
)
from spikefleet.rt_sort.limits import RtSortLimits
from spikefleet.rt_sort.rates import Array, FrameCounts, probability, ragged
from spikefleet.rt_sort.splitting import Group


@dataclass(frozen=True)
class SeenSpikes:
    """Spikes x electrodes: probabilities (0: unseen), latencies after the root (frames, UNSEEN
    where unseen) and amplitudes (σ, above zero)."""

    probabilities: NDArray[np.float16]
    latencies: NDArray[np.int8]
    amplitudes: NDArray[np.float16]


@dataclass(frozen=True)
class Sequence:
    """A sequence; every array but ``frames`` has one entry per electrode of the whole array."""

    roots: tuple[int, ...]  #: root electrodes, the one that times are of first
    splits: tuple[int, ...]  #: electrodes that its events were split on
    frames: NDArray[np.int64]  #: its spikes, in the order of time
    electrodes: NDArray[np.int64]  #: electrodes that ``measured`` has columns of
    measured: SeenSpikes  #: its spikes on these electrodes
    seen: NDArray[np.float32]  #: median probability, 0 below the floor
    latency: NDArray[np.float32]  #: mean latency after the root (frames)
    amplitude: NDArray[np.float32]  #: mean amplitude (σ)
    spread: NDArray[np.float32]  #: standard deviation of the amplitude (σ)
    loose: NDArray[np.bool_]  #: electrodes that see it
    inner: NDArray[np.bool_]  #: those of them near a root
    compared: NDArray[np.bool_]  #: those that it is compared on

    @property
    def root(self) -> int:
        """The electrode that latencies are counted from."""
        return self.roots[0]

    def required(self, limits: RtSortLimits) -> int:
        """How many of its electrodes must see a spike."""
        share = int(self.loose.sum()) * limits.min_loose_detections_r_spikes
        return math.ceil(max(limits.min_loose_detections_n, share))


@dataclass(frozen=True)
class SortingGround:
    """What sequences of one recording are measured by."""

    array: Array
    limits: RtSortLimits
    counts: FrameCounts

    def reach(self, electrodes: tuple[int, ...]) -> NDArray[np.int64]:
        """Return the electrodes that a sequence split on these may be compared on."""
        inner = self.limits.inner_radius
        near = np.flatnonzero(self.array.near_any(np.array(electrodes), inner))
        return np.flatnonzero(self.array.near_any(near, inner))

    def describe(
        self,
        roots: tuple[int, ...],
        splits: tuple[int, ...],
        frames: NDArray[np.int64],
        columns: tuple[NDArray[np.int64], SeenSpikes],
    ) -> Sequence:
        """Return the sequence of these spikes and measurements."""
        electrodes, measured = columns
        n, limits = len(self.array), self.limits
        seen, latency, amplitude, spread = (np.zeros(n, dtype=np.float32) for _ in range(4))
        if len(frames):
            median = np.median(measured.probabilities, axis=0).astype(np.float32)
            seen[electrodes] = np.where(median < limits.min_loose_elec_prob, 0.0, median)
            there = measured.latencies != UNSEEN
            count = np.maximum(1, there.sum(axis=0))
            late = np.where(there, measured.latencies, 0).sum(axis=0, dtype=np.int64)
            latency[electrodes] = late / count
            sizes = np.where(there, measured.amplitudes, np.nan).astype(np.float32)
            amplitude[electrodes] = np.where(there, sizes, 0.0).sum(axis=0) / count
            apart = np.where(there, sizes - amplitude[electrodes], 0.0)
            spread[electrodes] = np.sqrt((apart**2).sum(axis=0) / np.maximum(1, count - 1))
        near_splits = self.array.near_any(np.array(splits), limits.inner_radius)
        loose = (seen >= limits.loose_thresh) & near_splits
        loose[list(roots)] = True
        inner = loose & self.array.near_any(np.array(roots), limits.inner_radius)
        near_loose = self.array.near_any(np.flatnonzero(loose), limits.inner_radius)
        compared = loose | ((seen > 0) & near_loose)
        return Sequence(
            roots, splits, frames, electrodes, measured,
            seen, latency, amplitude, spread, loose, inner, compared,
        )  # fmt: skip

    def is_kept(self, sequence: Sequence) -> bool:
        """Whether enough electrodes see it, and not so many that it is noise of the array."""
        limits = self.limits
        share = round(limits.min_elecs_for_seq_noise_f * len(self.array))
        noise_from = max(limits.min_elecs_for_seq_noise_n, share)
        return bool(
            (sequence.seen >= limits.loose_thresh).sum() < noise_from
            and sequence.loose.sum() >= limits.min_loose_detections_n
            and sequence.inner.sum() >= limits.min_inner_loose_detections
        )

    def least_spikes(self, duration_s: float) -> int:
        """Fewest spikes of a sequence over a duration."""
        limits = self.limits
        return math.ceil(max(limits.min_seq_spikes_n, limits.min_seq_spikes_hz * duration_s))


class _Trains(NamedTuple):
    """Spikes of all sequences in one piece of time: frame, sequence, row in its measurements."""

    frames: NDArray[np.int64]
    sequences: NDArray[np.int64]


class _Reaches(NamedTuple):
    """Electrodes of every sequence, as offsets and values, and its root."""

    offsets: NDArray[np.int64]
    electrodes: NDArray[np.int32]
    roots: NDArray[np.int32]


def measure(groups: list[Group], store: DetectionStore, around: SortingGround) -> list[Sequence]:
    """Return the sequence of every group, measured in one pass over the store."""
    if not groups:
        return []
    reaches = [around.reach(group.splits) for group in groups]
    table = _Reaches(*ragged(reaches), np.array([group.root for group in groups], dtype=np.int32))
    measured = [
        SeenSpikes(
            np.zeros((len(group.frames), len(reach)), dtype=np.float16),
            np.full((len(group.frames), len(reach)), UNSEEN, dtype=np.int8),
            np.zeros((len(group.frames), len(reach)), dtype=np.float16),
        )
        for group, reach in zip(groups, reaches, strict=True)
    ]
    window = around.counts.before, around.counts.after
    for piece in store.pieces():
        spans = [np.searchsorted(group.frames, (piece.first, piece.last)) for group in groups]
        trains = _Trains(
            np.concatenate(
                [group.frames[a:b] for group, (a, b) in zip(groups, spans, strict=True)]
            ),
            np.repeat(np.arange(len(groups)), [b - a for a, b in spans]),
        )
        widths = np.diff(table.offsets)[trains.sequences]
        logits, latencies, amplitudes = _measure_piece(
            piece.samples, trains, table, window, int(widths.sum())
        )
        chances = np.where(latencies == UNSEEN, 0.0, probability(logits))
        at = 0
        for target, (first, last) in zip(measured, spans, strict=True):
            shape = last - first, target.latencies.shape[1]
            part = slice(at, at + shape[0] * shape[1])
            target.probabilities[first:last] = chances[part].reshape(shape)
            target.latencies[first:last] = latencies[part].reshape(shape)
            target.amplitudes[first:last] = amplitudes[part].reshape(shape)
            at = part.stop
    return [
        around.describe((group.root,), group.splits, group.frames, (reach, columns))
        for group, reach, columns in zip(groups, reaches, measured, strict=True)
    ]


@compiled
def _measure_piece(
    samples: Samples, trains: _Trains, reaches: _Reaches, window: tuple[int, int], size: int
) -> tuple[NDArray[np.float32], NDArray[np.int8], NDArray[np.float32]]:
    logits = np.zeros(size, dtype=np.float32)
    latencies = np.full(size, UNSEEN, dtype=np.int8)
    amplitudes = np.zeros(size, dtype=np.float32)
    out = 0
    for spike in range(len(trains.frames)):
        frame, sequence = trains.frames[spike], trains.sequences[spike]
        root = reaches.roots[sequence]
        for at in range(reaches.offsets[sequence], reaches.offsets[sequence + 1]):
            electrode = reaches.electrodes[at]
            if electrode == root:
                best = at_frame(samples, electrode, frame)
            else:
                best = strongest(samples, electrode, frame - window[0], frame + window[1])
            if best >= 0:
                logits[out] = samples.logits[best]
                latencies[out] = samples.frames[best] - frame
                amplitudes[out] = abs(samples.amplitudes[best])
            out += 1
    return logits, latencies, amplitudes


def rooted_at(sequence: Sequence, root: int, around: SortingGround) -> Sequence:
    """Return the sequence with its latencies counted from another electrode, now its only root."""
    shifted = shifted_latencies(sequence, root)
    measured = replace(sequence.measured, latencies=shifted)
    return around.describe(
        (root,), sequence.splits, sequence.frames, (sequence.electrodes, measured)
    )


def shifted_latencies(sequence: Sequence, root: int) -> NDArray[np.int8]:
    """Latencies of every spike after ``root``; where it was not seen there, after its mean."""
    latencies = sequence.measured.latencies
    place = int(np.searchsorted(sequence.electrodes, root))
    own = latencies[:, place].astype(np.int16)
    own[own == UNSEEN] = round(float(sequence.latency[root]))
    moved: NDArray[np.int8] = np.clip(latencies - own[:, None], UNSEEN + 1, 127).astype(np.int8)
    moved[latencies == UNSEEN] = UNSEEN
    return moved
