"""Events of one root split into sequences: by the times at which others see them, by amplitude.

Electrode by electrode, outwards: at each the latencies of the events are grouped, each group goes
on by itself, along the axon where most of it is seen further on. What never splits is one neuron.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spikefleet.rt_sort.detections import UNSEEN, Samples, latencies_on
from spikefleet.rt_sort.dip import dip_p_value
from spikefleet.rt_sort.events import RootEvents
from spikefleet.rt_sort.limits import RtSortLimits
from spikefleet.rt_sort.mixtures import split_amplitudes, split_latencies
from spikefleet.rt_sort.rates import Array, FrameCounts

Events = NDArray[np.int64]
"""Indices into the events of one root, in the order of time."""
Latencies = Callable[[int], NDArray[np.int8]]
"""Of an electrode: the latency of every event of the root on it (frames), UNSEEN where none."""


@dataclass(frozen=True)
class Group:
    """Frames of events that belong together, and the electrodes that they were split on."""

    root: int
    splits: tuple[int, ...]
    frames: NDArray[np.int64]


@dataclass(frozen=True)
class _Patience:
    """How many distances from the root have passed without a split, and the last of them."""

    spent: int = 0
    distance_um: float = -1.0

    def after(self, distance_um: float) -> _Patience:
        if distance_um == self.distance_um:
            return self
        return _Patience(self.spent + 1, distance_um)


@dataclass(frozen=True)
class _Node:
    """Events on their way: which, split on what so far, which electrodes come next."""

    events: Events
    splits: tuple[int, ...]
    ahead: tuple[int, ...]
    patience: _Patience


@dataclass
class RootSplitter:
    """Splits the events of one root electrode."""

    root: int
    array: Array
    limits: RtSortLimits
    latencies: Latencies
    _near: dict[int, NDArray[np.int64]] = field(default_factory=dict)

    def split(self, amplitudes: NDArray[np.float32]) -> Iterator[tuple[Events, tuple[int, ...]]]:
        """Yield groups of events with the electrodes that they were split on."""
        ahead = tuple(int(at) for at in self._around(self.root))
        pool = np.arange(len(amplitudes))
        for start in range(len(ahead)):
            if len(pool) < self.limits.min_coc_n:
                return
            node = _Node(pool, (self.root,), ahead[start:], _Patience())
            claimed = []
            for leaf in self._leaves(node):
                claimed.append(leaf.events)
                for events in self._by_amplitude(leaf.events, amplitudes):
                    yield events, leaf.splits
            if claimed:
                pool = np.setdiff1d(pool, np.concatenate(claimed), assume_unique=True)

    def _around(self, electrode: int) -> NDArray[np.int64]:
        if electrode not in self._near:
            self._near[electrode] = self.array.neighbours(electrode, self.limits.inner_radius)
        return self._near[electrode]

    def _leaves(self, root: _Node) -> Iterator[_Node]:
        waiting = [root]
        while waiting:
            node = waiting.pop()
            children, ended = self._children(node)
            for child in reversed(children):
                if ended or not child.ahead or len(child.events) <= self.limits.min_coc_n:
                    yield child
                else:
                    waiting.append(child)

    def _children(self, node: _Node) -> tuple[list[_Node], bool]:
        """Split a node at its next electrode; whether its children are at their end."""
        limits, electrode = self.limits, node.ahead[0]
        latencies = self.latencies(electrode)[node.events]
        seen = latencies != UNSEEN
        least = max(limits.min_coc_n, len(node.events) * limits.min_coc_p / 100.0)
        splits, is_last = (*node.splits, electrode), len(node.ahead) == 1
        if seen.sum() > least:
            events = node.events[seen]
            groups = split_latencies(latencies[seen], limits.max_n_components_latency)
            if groups.max() == 0:
                return [self._child(node, events, splits, _Patience())], is_last
            parts = [events[groups == group] for group in np.unique(groups)]
            parts = [part for part in parts if len(part) >= least]
            if parts:
                return [self._child(node, part, splits, _Patience()) for part in parts], is_last
        patience = node.patience.after(float(self.array.distances_um[self.root, electrode]))
        child = self._child(node, node.events, splits, patience)
        return [child], is_last or patience.spent >= limits.elec_patience

    def _child(
        self, node: _Node, events: Events, splits: tuple[int, ...], patience: _Patience
    ) -> _Node:
        electrode, *rest = node.ahead
        if len(events) >= len(node.events) * self.limits.min_extend_comp_p / 100.0:
            taken = {electrode, *node.ahead, *splits}
            rest += [int(at) for at in self._around(electrode) if int(at) not in taken]
        return _Node(events, splits, tuple(rest), patience)

    def _by_amplitude(self, events: Events, amplitudes: NDArray[np.float32]) -> list[Events]:
        limits = self.limits
        if not limits.split_coc_clusters_amps or len(events) < limits.min_coc_n:
            return [events]
        values = amplitudes[events]
        if dip_p_value(values.astype(np.float64)) >= limits.min_amp_dist_p:
            return [events]
        groups = split_amplitudes(values, limits.max_n_components_amp)
        parts = [events[groups == group] for group in np.unique(groups)]
        return [part for part in parts if len(part) >= limits.min_coc_n]


@dataclass(frozen=True)
class Activity:
    """Where root events are searched: their detections, and over how long."""

    samples: Samples
    counts: FrameCounts
    duration_s: float


def split_root(
    root: int, events: RootEvents, activity: Activity, array: Array, limits: RtSortLimits
) -> list[Group]:
    """Return the groups of one root's events; none where it is too quiet."""
    mine = events.of(root)
    frames, codetections = events.frames[mine], events.codetections[mine]
    active = int((codetections >= limits.min_activity_root_cocs).sum())
    if len(frames) < limits.min_coc_n or active < limits.min_activity_hz * activity.duration_s:
        return []
    known: dict[int, NDArray[np.int8]] = {}

    def latencies(electrode: int) -> NDArray[np.int8]:
        if electrode not in known:
            counts = activity.counts
            known[electrode] = latencies_on(
                activity.samples, electrode, frames, counts.before, counts.after
            )
        return known[electrode]

    splitter = RootSplitter(root, array, limits, latencies)
    return [
        Group(root, splits, frames[np.sort(chosen)])
        for chosen, splits in splitter.split(events.amplitudes[mine])
    ]
