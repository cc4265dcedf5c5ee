"""Units that are one neuron, found twice or split: which they are, and how their spikes join.

Near each other, alike at some lag, each with few refractory violations, and still with few once
joined; and either with the same spikes or with a refractory period between the two. Pairs are
taken by falling similarity and join groups, so that a neuron in three units ends in one; a group
moves as a whole. Suggests; whether it is done is curation's setting.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikefleet.signal.units.quality import count_isi_violations
from spikefleet.signal.units.relations import compare_pair, unit_distances_um
from spikefleet.signal.units.template_likeness import MOST_LAG
from spikefleet.signal.units.unit_data import IntArray, UnitData
from spikefleet.signal.units.unit_edits import Merge, merge_trains

NEAR_UM = 200.0
MOST_VIOLATIONS = 0.04  # share of a unit's spikes; also the most that joining may add
SIMILAR = 0.5
SAME_SPIKE_MS = 0.4
_FEW = 0.05  # of all pairs, which are looked at one by one


@dataclass(frozen=True)
class DuplicatePair:
    """Two units (indices) that may be one: the ``second``'s spikes, ``shift`` samples later."""

    first: int
    second: int
    similarity: float
    shift: int


@dataclass(frozen=True)
class MergeSuggestion:
    """Units to join, and what speaks for it. Violations are shares of spikes; None: not looked at.

    ``similarity`` is the lowest of the pairs that were joined, ``violations_before`` the highest of
    the units.
    """

    merge: Merge
    method: str
    similarity: float | None = None
    violations_before: float | None = None
    violations_after: float | None = None
    n_dropped: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {
            **self.merge.to_json(),
            "method": self.method,
            "similarity": self.similarity,
            "violations_before": self.violations_before,
            "violations_after": self.violations_after,
            "n_dropped": self.n_dropped,
        }


@dataclass
class _Group:
    """Units joined so far: how far each is moved, their train, its violations."""

    shifts: dict[int, int]
    train: IntArray
    violations: float
    similarity: float = 1.0


def merged_id(unit_ids: Sequence[str], taken: Collection[str]) -> str:
    """A name for joined units that none has: theirs, joined by +."""
    name = "+".join(unit_ids)
    name = name if len(name) <= 40 else f"{unit_ids[0]}+{len(unit_ids) - 1}more"
    while name in taken:
        name += "'"
    return name


def similar_pairs(data: UnitData, usable: NDArray[np.bool_]) -> list[DuplicatePair]:
    """Return pairs of ``usable`` units (U,) that are near and alike, by falling similarity.

    A pair that is most alike at the longest lag is alike at none: these are two different shapes.
    """
    likeness = data.likeness
    possible = (likeness.bounds >= SIMILAR) & (unit_distances_um(data) <= NEAR_UM)
    possible = np.triu(possible & np.outer(usable, usable), 1)
    if possible.sum() > _FEW * possible.size:
        likeness.compare_all()
    found = []
    for first in np.flatnonzero(possible.any(axis=1)).tolist():
        others = np.flatnonzero(possible[first])
        for second, cosine, shift in zip(others, *likeness.compare(first, others), strict=True):
            if cosine >= SIMILAR and abs(shift) < MOST_LAG:
                pair = DuplicatePair(first, int(second), float(cosine), int(shift))
                found.append(pair)
    return sorted(found, key=lambda pair: (-pair.similarity, pair.first, pair.second))


def find_duplicates(data: UnitData, refractory_ms: float) -> list[MergeSuggestion]:
    """Return the joins that hold, in the order of their first units; nothing is joined."""
    trains = data.trains()
    count = _Violations(data, refractory_ms)
    shares = [count.share(train) for train in trains]
    usable = np.array(
        [len(t) > 0 and s <= MOST_VIOLATIONS for t, s in zip(trains, shares, strict=True)],
        dtype=bool,
    )
    groups = {i: _Group({i: 0}, trains[i], shares[i]) for i in range(len(trains))}
    for pair in similar_pairs(data, usable) if usable.any() else []:
        first, second = groups[pair.first], groups[pair.second]
        if first is second:
            continue
        if not _looks_like_one(data, trains, pair, refractory_ms):
            continue
        # In the time of the first group: where the second group's spikes belong.
        shift = first.shifts[pair.first] + pair.shift - second.shifts[pair.second]
        if len(second.train) > len(first.train):
            first, second, shift = second, first, -shift
        joined = _joined(data, trains, (first, second), shift, count)
        if joined.violations - max(first.violations, second.violations) > MOST_VIOLATIONS:
            continue
        joined.violations = max(joined.violations, first.violations, second.violations)
        joined.similarity = min(first.similarity, second.similarity, pair.similarity)
        groups |= dict.fromkeys(joined.shifts, joined)
    seen: dict[int, _Group] = {id(group): group for group in groups.values()}
    return [
        _suggestion(data, group, trains, shares, count)
        for group in seen.values()
        if len(group.shifts) > 1
    ]


def _looks_like_one(
    data: UnitData, trains: Sequence[IntArray], pair: DuplicatePair, refractory_ms: float
) -> bool:
    """Whether the spikes speak for it, too: found twice, or a refractory period between the two.

    Two neurons that fire rarely add few violations when they are joined, however different.
    """
    second = trains[pair.second] + pair.shift
    found = compare_pair(data, trains[pair.first], second, refractory_ms / 1000)
    return found.is_duplicate(pair.similarity, SIMILAR)


@dataclass(frozen=True)
class _Violations:
    """Counts intervals below the refractory period, none across a cut."""

    data: UnitData
    refractory_ms: float

    def share(self, train: IntArray) -> float:
        """Violations over spikes; 0 below two spikes."""
        if len(train) < 2:
            return 0.0
        found = count_isi_violations(
            train,
            np.zeros(len(train), dtype=np.int64),
            1,
            threshold_samples=self.refractory_ms * self.data.sampling_rate_hz / 1000,
            seams=self.data.seams,
        )
        return float(found[0]) / len(train)


def _within(data: UnitData) -> int:
    """The samples within which two units' spikes are one spike found twice."""
    return int(SAME_SPIKE_MS * data.sampling_rate_hz / 1000 + 1e-9)


def _joined(
    data: UnitData,
    trains: Sequence[IntArray],
    pair: tuple[_Group, _Group],
    shift: int,
    count: _Violations,
) -> _Group:
    first, second = pair
    shifts = first.shifts | {unit: own + shift for unit, own in second.shifts.items()}
    train = _train_of(data, trains, shifts)[0]
    return _Group(shifts, train, count.share(train))


def _train_of(
    data: UnitData, trains: Sequence[IntArray], shifts: Mapping[int, int]
) -> tuple[IntArray, IntArray, IntArray]:
    n_samples = round(data.duration_s * data.sampling_rate_hz)
    own = [trains[unit] for unit in shifts]
    return merge_trains(own, shifts.values(), _within(data), n_samples)


def _suggestion(
    data: UnitData,
    group: _Group,
    trains: Sequence[IntArray],
    shares: Sequence[float],
    count: _Violations,
) -> MergeSuggestion:
    """The join of a group, its unit with most spikes first and unmoved."""
    units = sorted(group.shifts, key=lambda unit: (-len(trains[unit]), unit))
    base = group.shifts[units[0]]
    shifts = {unit: group.shifts[unit] - base for unit in units}
    train = _train_of(data, trains, shifts)[0]
    names = tuple(data.unit_ids[unit] for unit in units)
    merge = Merge(names, merged_id(names, data.unit_ids), tuple(shifts.values()), _within(data))
    return MergeSuggestion(
        merge,
        "duplicates",
        similarity=group.similarity,
        violations_before=max(shares[unit] for unit in units),
        violations_after=count.share(train),
        n_dropped=sum(len(trains[unit]) for unit in units) - len(train),
    )
