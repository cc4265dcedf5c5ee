"""Merges and splits of sorted units as data, and the spike trains that follow from them.

What a curation stores of its merges and splits is read back here, so that whoever has the sort and
the document has the same trains. A unit is in one merge or one split at most; the units of the sort
stay as they are, what is made of them gets a name of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikefleet.signal.units.unit_names import unit_names

IntArray = NDArray[np.int64]

VERSION = 1
_MOST_LAG = 10_000  # samples; no two templates are further apart


@dataclass(frozen=True)
class Merge:
    """Units that are one neuron. ``shifts`` (samples) are added to the spikes of each.

    A spike within ``drop_within`` samples of the last one kept, which is of another of the units,
    was found twice and is dropped; 0 drops none.
    """

    unit_ids: tuple[str, ...]
    new_id: str
    shifts: tuple[int, ...]
    drop_within: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {
            "unit_ids": list(self.unit_ids),
            "new_id": self.new_id,
            "shifts": list(self.shifts),
            "drop_within": self.drop_within,
        }


@dataclass(frozen=True)
class Split:
    """A unit that is several neurons: ``parts`` are indices into its train, the rest is the last.

    There is one name more than parts.
    """

    unit_id: str
    new_ids: tuple[str, ...]
    parts: tuple[tuple[int, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {
            "unit_id": self.unit_id,
            "new_ids": list(self.new_ids),
            "parts": [list(part) for part in self.parts],
        }


@dataclass(frozen=True)
class MadeTrain:
    """A unit that was made: its spikes in order, and of which unit and spike each was.

    ``samples``, ``sources`` (index into ``unit_ids``) and ``spikes`` (index into that unit's train)
    are equally long; ``n_dropped`` spikes had been found twice.
    """

    unit_ids: tuple[str, ...]
    samples: IntArray
    sources: IntArray
    spikes: IntArray
    n_dropped: int = 0


@dataclass(frozen=True)
class UnitEdits:
    """All merges and splits of a curation."""

    merges: tuple[Merge, ...] = ()
    splits: tuple[Split, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.merges or self.splits)

    @property
    def replaced(self) -> dict[str, str]:
        """Why each unit that was merged or split is one no longer."""
        merged = {u: f"merged into {m.new_id}" for m in self.merges for u in m.unit_ids}
        parted = {s.unit_id: f"split into {', '.join(s.new_ids)}"[:200] for s in self.splits}
        return merged | parted

    @property
    def made_from(self) -> dict[str, tuple[str, ...]]:
        """The units each made one is of, in the order they are made."""
        merged = {merge.new_id: merge.unit_ids for merge in self.merges}
        return merged | {new: (split.unit_id,) for split in self.splits for new in split.new_ids}

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; ``from_json`` reads it back."""
        return {
            "version": VERSION,
            "merges": [merge.to_json() for merge in self.merges],
            "splits": [split.to_json() for split in self.splits],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> UnitEdits:
        """Read what ``to_json`` wrote, or anybody else. Raises ValueError for nonsense."""
        try:
            if document["version"] != VERSION:
                raise ValueError(f"version {document['version']!r:.20}")
            edits = cls(
                tuple(map(_merge, document["merges"])), tuple(map(_split, document["splits"]))
            )
        except (LookupError, TypeError) as error:
            raise ValueError(f"no merges and splits ({error})") from error
        used = [u for m in edits.merges for u in m.unit_ids] + [s.unit_id for s in edits.splits]
        _require_once(used, "is merged or split more than once")
        made = [m.new_id for m in edits.merges] + [n for s in edits.splits for n in s.new_ids]
        _require_once([*used, *made], "is the name of more than one unit")
        return edits

    def made_trains(self, trains: Mapping[str, IntArray], n_samples: int) -> dict[str, MadeTrain]:
        """Return the train of every unit that is made, by its name.

        ``trains`` are those of the sort, ascending, of ``n_samples`` samples. Raises ValueError
        where a unit or a spike that is named is not there.
        """
        _require_once([*trains, *self.made_from], "is the name of more than one unit")
        unknown = next((unit for unit in self.replaced if unit not in trains), None)
        if unknown is not None:
            raise ValueError(f"there is no unit {unknown!r:.60}")
        made = {merge.new_id: _merged(merge, trains, n_samples) for merge in self.merges}
        for split in self.splits:
            made |= _parted(split, trains[split.unit_id])
        return made


def merge_trains(
    trains: Iterable[IntArray], shifts: Iterable[int], drop_within: int, n_samples: int
) -> tuple[IntArray, IntArray, IntArray]:
    """Join trains: samples, which train each spike is of, and its index there; in order.

    Moved spikes stay within ``n_samples``. Of spikes of different trains at most ``drop_within``
    samples apart the first is kept; at one sample that of the train named first.
    """
    listed = list(trains)
    moved = [
        np.clip(train + shift, 0, max(n_samples - 1, 0))
        for train, shift in zip(listed, shifts, strict=True)
    ]
    samples = np.concatenate(moved) if moved else np.zeros(0, np.int64)
    sources = np.repeat(np.arange(len(moved)), [len(train) for train in moved])
    spikes = np.concatenate([np.arange(len(t)) for t in moved] or [np.zeros(0, np.int64)])
    order = np.lexsort((spikes, sources, samples))
    samples, sources, spikes = samples[order], sources[order], spikes[order]
    kept = _first_found(samples, sources, drop_within)
    return samples[kept], sources[kept], spikes[kept]


def _first_found(samples: IntArray, sources: IntArray, within: int) -> NDArray[np.bool_]:
    """Which spikes are kept: each is held against the last one kept, looked at where it is near."""
    kept = np.ones(len(samples), dtype=bool)
    if within <= 0 or len(samples) < 2:
        return kept
    near = np.diff(samples) <= within
    doubtful = near & (np.diff(sources) != 0)
    last = -1
    for index in np.flatnonzero(_beside(near, doubtful)):
        if index == 0 or not near[index - 1]:
            last = int(index)
        elif sources[index] != sources[last] and samples[index] - samples[last] <= within:
            kept[index] = False
        else:
            last = int(index)
    return kept


def _beside(near: NDArray[np.bool_], doubtful: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Spikes of those runs of near ones that hold a doubtful pair."""
    run = np.concatenate([[0], np.cumsum(~near)])
    touched = np.zeros(int(run[-1]) + 1, dtype=bool)
    touched[run[1:][doubtful]] = True
    found: NDArray[np.bool_] = touched[run]
    return found


def _merged(merge: Merge, trains: Mapping[str, IntArray], n_samples: int) -> MadeTrain:
    own = [trains[unit] for unit in merge.unit_ids]
    found = merge_trains(own, merge.shifts, merge.drop_within, n_samples)
    return MadeTrain(merge.unit_ids, *found, n_dropped=sum(map(len, own)) - len(found[0]))


def _parted(split: Split, train: IntArray) -> dict[str, MadeTrain]:
    owner = np.full(len(train), len(split.parts), dtype=np.int64)
    for index, part in enumerate(split.parts):
        chosen = np.asarray(part, dtype=np.int64)
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < len(train):
            raise ValueError(f"unit {split.unit_id!r:.60} has {len(train)} spikes")
        if (owner[chosen] != len(split.parts)).any() or len(np.unique(chosen)) != len(chosen):
            raise ValueError(f"a spike of unit {split.unit_id!r:.60} is in two parts")
        owner[chosen] = index
    made = {}
    for index, new in enumerate(split.new_ids):
        spikes = np.flatnonzero(owner == index)
        sources = np.zeros(len(spikes), np.int64)
        made[new] = MadeTrain((split.unit_id,), train[spikes], sources, spikes)
    return made


def _merge(given: Mapping[str, Any]) -> Merge:
    units = unit_names(given["unit_ids"])
    (new_id,) = unit_names([given["new_id"]])
    shifts = tuple(_whole(shift, -_MOST_LAG, _MOST_LAG) for shift in given["shifts"])
    if len(units) < 2 or len(shifts) != len(units):
        raise ValueError("a merge is of two units or more, each with its shift")
    return Merge(units, new_id, shifts, _whole(given["drop_within"], 0, _MOST_LAG))


def _split(given: Mapping[str, Any]) -> Split:
    (unit_id,), new_ids = unit_names([given["unit_id"]]), unit_names(given["new_ids"])
    parts = tuple(tuple(_whole(s, 0, 1 << 40) for s in part) for part in given["parts"])
    if len(new_ids) < 2 or len(parts) != len(new_ids) - 1:
        raise ValueError("a split makes two units or more, the last of the rest")
    return Split(unit_id, new_ids, parts)


def _whole(value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{value!r:.40} is no whole number from {least} to {most}")
    return value


def _require_once(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{name!r:.60} {what}")
        seen.add(name)
