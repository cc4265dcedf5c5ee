"""Root events: moments at which one electrode sees a spike largest, and a neighbour sees it, too.

Within the outer radius one spike is an event of one electrode only, so the events of a root are
the spikes of the neurons nearest to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikefleet.rt_sort.compiled import compiled
from spikefleet.rt_sort.limits import RtSortLimits
from spikefleet.rt_sort.rates import Array, FrameCounts, logit, ragged
from spikefleet.rt_sort.stretch import Stretch, noise_column

_FULL = -1


class _Around(NamedTuple):
    """Electrodes around each, as offsets and values: neighbours and, further out, rivals."""

    neighbours: NDArray[np.int64]
    neighbour: NDArray[np.int32]
    rivals: NDArray[np.int64]
    rival: NDArray[np.int32]


class _Rules(NamedTuple):
    stringent: float
    loose: float
    array_noise: int
    after: int
    noisy: NDArray[np.bool_]  # columns at which too much of the array sees something; or empty


class _Found(NamedTuple):
    """Arrays that events are written to: root, frame, signed amplitude (σ), codetecting
    neighbours."""

    root: NDArray[np.int32]
    frame: NDArray[np.int64]
    amplitude: NDArray[np.float32]
    codetections: NDArray[np.int32]


@dataclass(frozen=True)
class RootEvents:
    """Events by root electrode, in the order of time: those of electrode r are
    ``offsets[r]:offsets[r + 1]``."""

    offsets: NDArray[np.int64]
    frames: NDArray[np.int64]
    amplitudes: NDArray[np.float32]
    codetections: NDArray[np.int32]

    def of(self, root: int) -> slice:
        """Where a root's events are."""
        return slice(int(self.offsets[root]), int(self.offsets[root + 1]))


@dataclass
class EventFinder:
    """Collects the events of one stretch after the other."""

    array: Array
    limits: RtSortLimits
    counts: FrameCounts
    _parts: list[_Found] = field(init=False, default_factory=list)
    _around: _Around = field(init=False)
    _rules: _Rules = field(init=False)

    def __post_init__(self) -> None:
        electrodes, limits = range(len(self.array)), self.limits
        near = [self.array.neighbours(at, limits.inner_radius) for at in electrodes]
        far = [self.array.neighbours(at, limits.outer_radius) for at in electrodes]
        self._around = _Around(*ragged(near), *ragged(far))
        share = round(limits.min_elecs_for_array_noise_f * len(self.array))
        self._rules = _Rules(
            logit(limits.stringent_thresh),
            logit(limits.loose_thresh),
            max(limits.min_elecs_for_array_noise_n, share),
            self.counts.after,
            np.zeros(0, dtype=np.bool_),
        )

    def look(self, stretch: Stretch, first: int, last: int) -> None:
        """Find the events at frames [first, last) of the window; the stretch reaches further."""
        if last <= first:
            return
        rules, room = self._rules, 1024
        if len(self.array) >= rules.array_noise:
            seen = np.count_nonzero(stretch.logits >= rules.loose, axis=0)
            rules = rules._replace(noisy=seen >= rules.array_noise)
        while True:
            found = _Found(
                np.empty(room, dtype=np.int32),
                np.empty(room, dtype=np.int64),
                np.empty(room, dtype=np.float32),
                np.empty(room, dtype=np.int32),
            )
            count = _find(stretch, (first, last), self._around, rules, found)
            if count != _FULL:
                break
            room *= 4
        self._parts.append(
            _Found(
                found.root[:count].copy(),
                found.frame[:count].copy(),
                found.amplitude[:count].copy(),
                found.codetections[:count].copy(),
            )
        )

    def found(self) -> RootEvents:
        """Return the events of all stretches."""
        if not self._parts:
            nothing = np.zeros(0, dtype=np.int64)
            offsets = np.zeros(len(self.array) + 1, dtype=np.int64)
            return RootEvents(
                offsets, nothing, nothing.astype(np.float32), nothing.astype(np.int32)
            )
        root = np.concatenate([part.root for part in self._parts])
        frame = np.concatenate([part.frame for part in self._parts])
        amplitude = np.concatenate([part.amplitude for part in self._parts])
        codetections = np.concatenate([part.codetections for part in self._parts])
        order = np.argsort(root, kind="stable")
        offsets = np.searchsorted(root[order], np.arange(len(self.array) + 1))
        return RootEvents(offsets, frame[order], amplitude[order], codetections[order])


@compiled
def is_peak(logits: NDArray[np.float32], electrode: int, column: int) -> bool:
    """Whether a logit is a local maximum in time; of equal neighbours the first one is."""
    if column < 1 or column + 1 >= logits.shape[1]:
        return False
    here = logits[electrode, column]
    before, after = logits[electrode, column - 1], logits[electrode, column + 1]
    return bool(here > before and here >= after)


@compiled
def _find(
    stretch: Stretch, frames: tuple[int, int], around: _Around, rules: _Rules, found: _Found
) -> int:
    """Write the events of all roots; how many, or -1 where they have no room."""
    count = 0
    for root in range(stretch.logits.shape[0]):
        if around.neighbours[root] == around.neighbours[root + 1]:
            continue
        for frame in range(frames[0], frames[1]):
            column = frame - stretch.origin
            if stretch.logits[root, column] < rules.stringent:
                continue
            codetections, size = _event_at(stretch, column, root, around, rules)
            if codetections == 0:
                continue
            if count == len(found.root):
                return _FULL
            found.root[count] = root
            found.frame[count] = frame
            found.amplitude[count] = size
            found.codetections[count] = codetections
            count += 1
    return count


@compiled
def _event_at(
    stretch: Stretch, column: int, root: int, around: _Around, rules: _Rules
) -> tuple[int, float]:
    """How many neighbours see the event at a column, and its signed amplitude (σ); 0 where there is
    no event."""
    if not is_peak(stretch.logits, root, column):
        return 0, 0.0
    if len(rules.noisy) and rules.noisy[column]:
        return 0, 0.0
    codetections = _codetections(stretch, column, root, around, rules)
    if codetections == 0:
        return 0, 0.0
    sigma = stretch.noise[root, noise_column(stretch, stretch.origin + column)]
    size = stretch.traces[root, column] / sigma
    if _has_rival(stretch, column, abs(size), (root, rules.after), around):
        return 0, 0.0
    return codetections, size


@compiled
def _codetections(stretch: Stretch, column: int, root: int, around: _Around, rules: _Rules) -> int:
    """How many neighbours reach the stringent threshold in the window around a column."""
    low = max(0, column - stretch.before)
    high = min(stretch.logits.shape[1], column + rules.after + 1)
    count = 0
    for at in range(around.neighbours[root], around.neighbours[root + 1]):
        electrode = around.neighbour[at]
        for inside in range(low, high):
            if stretch.logits[electrode, inside] >= rules.stringent:
                count += 1
                break
    return count


@compiled
def _has_rival(
    stretch: Stretch, column: int, size: float, place: tuple[int, int], around: _Around
) -> bool:
    """Whether an electrode within the outer radius has a larger trough around a column."""
    root, after = place
    low = max(0, column - stretch.before)
    high = min(stretch.traces.shape[1], column + after + 1)
    at_noise = noise_column(stretch, stretch.origin + column)
    for at in range(around.rivals[root], around.rivals[root + 1]):
        electrode = around.rival[at]
        least = stretch.traces[electrode, low]
        for inside in range(low, high):
            if stretch.traces[electrode, inside] < least:
                least = stretch.traces[electrode, inside]
        if abs(least) / stretch.noise[electrode, at_noise] > size:
            return True
    return False
