"""A Phy folder that a person edited, read back: merges, splits and labels as a curation by hand.

What was exported says which unit stands behind every template and cluster; what differs now is the
person's doing. The folder may come from anywhere: every file is bounded and looked at before it is
read, and the spike times must be those that were exported.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikefleet.core.failures.errors import InputCorruptError, InputMissingError
from spikefleet.signal.exports.clusters import FOLDER_FILE, Clusters
from spikefleet.signal.units.by_hand import MOST_UNITS, HandCuration, HandVerdict, train_digest
from spikefleet.signal.units.duplicates import merged_id
from spikefleet.signal.units.labels import GOOD, MUA, NOISE
from spikefleet.signal.units.plain_arrays import what_is_wrong
from spikefleet.signal.units.unit_edits import Merge, Split, UnitEdits
from spikefleet.signal.units.unit_names import unit_names

IntArray = NDArray[np.int64]

_MOST_BYTES = 4 << 30
_MOST_DOCUMENT_BYTES = 64 << 20
_MOST_ROWS = 100_000
_GROUPS = "cluster_group.tsv"


def read_phy_curation(folder: Path) -> HandCuration:
    """Return what a person made of an exported Phy folder.

    A group of good or mua keeps a unit, noise rejects it; one that is as it was exported leaves the
    verdict as it was. Raises InputMissingError where it is no folder that was exported here,
    InputCorruptError where a file of it is none, or the spikes are others.
    """
    about = _document(folder / FOLDER_FILE)
    try:
        base = HandCuration.from_json({**about, "tool": "phy"})
        templates = unit_names(about["templates"])
        groups = {str(key): str(group) for key, group in dict(about["groups"]).items()}
    except (ValueError, LookupError, TypeError) as error:
        raise _corrupt(folder / FOLDER_FILE, error) from error
    edited = _Folder.read(folder, templates, base)
    return _curation(edited, base, groups)


@dataclass(frozen=True)
class _Folder:
    """``clusters`` (S,) as they are now, ``before`` as they were exported; ``of`` the templates."""

    path: Path
    numbered: Clusters
    templates: IntArray
    clusters: IntArray
    before: IntArray
    groups: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, units: tuple[str, ...], base: HandCuration) -> _Folder:
        times, templates, clusters = (
            _integers(folder / f"spike_{name}.npy") for name in ("times", "templates", "clusters")
        )
        if not len(times) == len(templates) == len(clusters):
            raise InputCorruptError(
                f"{folder} has {len(times)} spike times, {len(templates)} templates and "
                f"{len(clusters)} clusters of spikes, which must be as many. Export it again.",
                path=str(folder),
            )
        if templates.size and not 0 <= templates.min() <= templates.max() < len(units):
            raise _corrupt(folder / "spike_templates.npy", "a template that was not exported")
        for index, unit in enumerate(units):
            if train_digest(times[templates == index]) != base.trains.get(unit):
                raise InputCorruptError(
                    f"The spikes of unit {unit} in {folder} are not those that were exported. "
                    "Export it again.",
                    path=str(folder / "spike_times.npy"),
                )
        numbered = Clusters.of(units, base.edits)
        try:
            before = numbered.of_spikes(templates, base.edits)
        except (LookupError, ValueError) as error:
            raise _corrupt(folder / FOLDER_FILE, error) from error
        return cls(folder, numbered, templates, clusters, before, _groups(folder / _GROUPS))


def _curation(folder: _Folder, base: HandCuration, exported: Mapping[str, str]) -> HandCuration:
    """Compare every cluster with what was exported."""
    made = _Made(folder, base)
    verdicts = dict(base.verdicts)
    clusters = np.unique(folder.clusters)
    if len(clusters) > MOST_UNITS:
        raise _corrupt(folder.path / "spike_clusters.npy", f"more than {MOST_UNITS} clusters")
    for cluster in clusters:
        unit, is_new = made.unit_of(int(cluster))
        group = folder.groups.get(int(cluster), "")
        was = exported.get(str(_exported_cluster(folder, unit)), "") if not is_new else ""
        former = HandVerdict(True) if is_new else base.verdicts.get(unit, HandVerdict(True))
        verdicts[unit] = former if group == was else _judged(group, former)
    edits = made.edits()
    gone = edits.replaced
    there = {u for u in base.trains if u not in gone} | set(edits.made_from)
    return HandCuration(
        tool="phy",
        edits=edits,
        verdicts={unit: verdict for unit, verdict in verdicts.items() if unit in there},
        trains=base.trains,
    )


def _exported_cluster(folder: _Folder, unit: str) -> int:
    return next((c for c, name in folder.numbered.units.items() if name == unit), -1)


def _judged(group: str, former: HandVerdict) -> HandVerdict:
    """The verdict that a group gives, as a person chose it in Phy."""
    if group in (GOOD, MUA):
        return HandVerdict(passed=True, label=group)
    if group == NOISE:
        return HandVerdict(passed=False, reason="called noise by hand", label=NOISE)
    return replace(former, label="")


@dataclass
class _Made:
    """The units behind the clusters, and the merges and splits that they need."""

    folder: _Folder
    base: HandCuration
    merges: list[Merge] = field(default_factory=list)
    pieces: dict[int, list[tuple[str, IntArray]]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.names = {*self.base.trains, *self.base.edits.made_from}

    def unit_of(self, cluster: int) -> tuple[str, bool]:
        """The unit that a cluster is, and whether a person made it. Raises InputCorruptError."""
        inside = self.folder.clusters == cluster
        before = np.unique(self.folder.before[inside])
        if len(before) == 1 and np.array_equal(self.folder.before == before[0], inside):
            unit = self.folder.numbered.units[int(before[0])]
            self._keep(unit)
            return unit, False
        templates = np.unique(self.folder.templates[inside])
        whole = [int(t) for t in templates if inside[self.folder.templates == t].all()]
        if len(whole) == len(templates):
            return self._joined(whole), True
        if len(templates) > 1:
            raise InputCorruptError(
                f"Cluster {cluster} in {self.folder.path} is made of parts of several units, which "
                "cannot be taken over. Split a unit, or join whole ones.",
                path=str(self.folder.path / "spike_clusters.npy"),
            )
        return self._piece(int(templates[0]), inside), True

    def edits(self) -> UnitEdits:
        """Return the merges and splits, with those of units that are not in the folder."""
        inside = set(self.folder.numbered.templates)
        outside = [m for m in self.base.edits.merges if not inside.issuperset(m.unit_ids)]
        apart = [s for s in self.base.edits.splits if s.unit_id not in inside]
        splits = [self._split(template) for template in sorted(self.pieces)]
        merges = sorted([*outside, *self.merges], key=lambda merge: merge.new_id)
        both = sorted([*apart, *splits], key=lambda split: split.unit_id)
        return UnitEdits(tuple(merges), tuple(both))

    def _keep(self, unit: str) -> None:
        """Take over how a unit was made before."""
        self.merges += [merge for merge in self.base.edits.merges if merge.new_id == unit]
        for split in self.base.edits.splits:
            if unit in split.new_ids:
                template = self.folder.numbered.templates.index(split.unit_id)
                spikes = np.flatnonzero(self.folder.templates == template)
                mine = _number_of(self.folder.numbered, unit)
                own = np.flatnonzero(self.folder.before[spikes] == mine)
                self.pieces.setdefault(template, []).append((unit, own))

    def _joined(self, templates: list[int]) -> str:
        names = [self.folder.numbered.templates[template] for template in templates]
        if len(names) == 1:
            return names[0]
        counts = {
            n: int((self.folder.templates == t).sum())
            for n, t in zip(names, templates, strict=True)
        }
        ordered = tuple(sorted(names, key=lambda name: -counts[name]))
        new_id = merged_id(ordered, self.names)
        self.names.add(new_id)
        self.merges.append(Merge(ordered, new_id, (0,) * len(ordered)))
        return new_id

    def _piece(self, template: int, inside: NDArray[np.bool_]) -> str:
        unit = self.folder.numbered.templates[template]
        number = len(self.pieces.get(template, ())) + 1
        while f"{unit}/{number}" in self.names:
            number += 1
        self.names.add(f"{unit}/{number}")
        spikes = np.flatnonzero(inside[self.folder.templates == template])
        self.pieces.setdefault(template, []).append((f"{unit}/{number}", spikes))
        return f"{unit}/{number}"

    def _split(self, template: int) -> Split:
        """The split of one template: its largest piece is the rest of the others."""
        pieces = sorted(self.pieces[template], key=lambda piece: (len(piece[1]), piece[0]))
        parts = tuple(tuple(int(s) for s in spikes) for _, spikes in pieces[:-1])
        unit = self.folder.numbered.templates[template]
        return Split(unit, tuple(name for name, _ in pieces), parts)


def _number_of(numbered: Clusters, unit: str) -> int:
    return next(cluster for cluster, name in numbered.units.items() if name == unit)


def _integers(path: Path) -> IntArray:
    """Whole numbers of an array file as one row. Raises InputCorruptError, InputMissingError."""
    _require_file(path, _MOST_BYTES)
    if wrong := what_is_wrong(path):
        raise _corrupt(path, f"it is {wrong}")
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise _corrupt(path, error) from error
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iu":
        raise _corrupt(path, "it holds no whole numbers")
    if found.size and found.max() > np.iinfo(np.int64).max:
        raise _corrupt(path, "a number in it is too large")
    return found.ravel().astype(np.int64)


def _groups(path: Path) -> dict[int, str]:
    """The group of every cluster; none where there is no table of them."""
    if not path.exists():
        return {}
    _require_file(path, _MOST_DOCUMENT_BYTES)
    found: dict[int, str] = {}
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            for row in csv.reader(handle, delimiter="\t"):
                if len(row) >= 2 and row[0] != "cluster_id":
                    found[int(row[0])] = row[1].strip()
                if len(found) > _MOST_ROWS:
                    raise ValueError(f"more than {_MOST_ROWS} clusters")
    except (OSError, ValueError, csv.Error) as error:
        raise _corrupt(path, error) from error
    return found


def _document(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputMissingError(
            f"{path.parent} is no Phy folder that was exported here: it has no {path.name}. Make "
            "one with: spikefleet fetch RUN --as phy",
            path=str(path),
        )
    _require_file(path, _MOST_DOCUMENT_BYTES)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _corrupt(path, "it is no JSON") from error
    if not isinstance(found, dict):
        raise _corrupt(path, "it is no document of an export")
    return found


def _require_file(path: Path, most_bytes: int) -> None:
    if not path.is_file():
        raise InputMissingError(f"{path} is not there. Export the folder again.", path=str(path))
    if path.stat().st_size > most_bytes:
        raise _corrupt(path, f"it is longer than {most_bytes} bytes")


def _corrupt(path: Path, why: object) -> InputCorruptError:
    return InputCorruptError(
        f"{path} cannot be read ({str(why)[:300]}). Export the folder again.", path=str(path)
    )
