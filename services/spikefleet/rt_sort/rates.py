"""Frames and electrodes of one recording: what limits in ms and µm come to."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikefleet.rt_sort.limits import RtSortLimits


@dataclass(frozen=True)
class FrameCounts:
    """Lengths in frames. Every one is rounded by itself from the exact sampling rate."""

    before: int  #: frames before a peak in which other electrodes are looked at
    after: int  #: the same after it
    noise_block: int  #: frames over which noise is measured
    overlap: int  #: two spikes of neighbours at most so far apart are one

    @property
    def window(self) -> int:
        """Frames of the window around a peak."""
        return self.before + 1 + self.after

    @classmethod
    def at(cls, sampling_rate_hz: float, limits: RtSortLimits) -> FrameCounts:
        """Return the counts at a sampling rate."""
        per_ms = sampling_rate_hz / 1000.0
        return cls(
            before=max(1, round(limits.ms_before * per_ms)),
            after=max(1, round(limits.ms_after * per_ms)),
            noise_block=max(2, round(limits.pre_median_ms * per_ms)),
            overlap=round(limits.repeated_detection_overlap_time * per_ms),
        )


def logit(probability: float) -> float:
    """Return ln(p / (1 - p)), as a float32 holds it: logits are compared with it."""
    return float(np.float32(math.log(probability / (1.0 - probability))))


def probability(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 / (1 + exp(-y)), with y clipped to [-9, 10]."""
    clipped = np.clip(logits, -9.0, 10.0)
    chances: NDArray[np.float32] = (1.0 / (1.0 + np.exp(-clipped))).astype(np.float32)
    return chances


@dataclass(frozen=True)
class Array:
    """Electrodes of one recording: positions in µm (electrodes x 2), distances between all."""

    positions_um: NDArray[np.float64]
    distances_um: NDArray[np.float32]

    @classmethod
    def at(cls, positions_um: NDArray[np.float64]) -> Array:
        """Return the array of these positions; only x and y count."""
        plane = np.ascontiguousarray(positions_um[:, :2], dtype=np.float64)
        distances = np.empty((len(plane), len(plane)), dtype=np.float32)
        for electrode, position in enumerate(plane):
            # To a nanometre, so that "within 50 µm" survives turning and moving the array.
            apart = np.hypot(*(plane - position).T)
            distances[electrode] = np.round(apart, 3)
        return cls(plane, distances)

    def __len__(self) -> int:
        return len(self.positions_um)

    def neighbours(self, electrode: int, radius_um: float) -> NDArray[np.int64]:
        """Return the other electrodes within a radius, nearest first; ties by index."""
        distances = self.distances_um[electrode]
        order = np.argsort(distances, kind="stable")
        near: NDArray[np.int64] = order[(distances[order] <= radius_um) & (order != electrode)]
        return near

    def near_any(self, electrodes: NDArray[np.int64], radius_um: float) -> NDArray[np.bool_]:
        """Whether each electrode is within a radius of any of these."""
        near: NDArray[np.bool_] = np.any(self.distances_um[electrodes] <= radius_um, axis=0)
        return near


def ragged(lists: list[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return offsets (n + 1) and values of lists, one after the other."""
    offsets = np.concatenate([[0], np.cumsum([len(item) for item in lists])]).astype(np.int64)
    values = np.concatenate(lists) if lists else np.zeros(0)
    return offsets, values.astype(np.int32)
