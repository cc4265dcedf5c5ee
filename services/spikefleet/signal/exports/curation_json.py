"""SpikeInterface's curation format, version 2, written and read back.

The format names the sort's units, their labels, merges, splits and removals. What it has no words
for (how far joined spikes are moved, verdicts on units that were made, reasons) stands beside them
under ``spikefleet``, which other tools pass over; it counts while the rest is as it was written.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.core.files import digest_document, write_json
from spikefleet.signal.exports.hand_curation import hand_curation
from spikefleet.signal.exports.source import ExportSource
from spikefleet.signal.units.by_hand import MOST_UNITS, HandCuration, HandVerdict
from spikefleet.signal.units.duplicates import merged_id
from spikefleet.signal.units.labels import GOOD, LABELS, MUA, NOISE
from spikefleet.signal.units.unit_edits import Merge, Split, UnitEdits
from spikefleet.signal.units.unit_names import unit_names

_VERSION = "2"
_QUALITY = "quality"
_OURS = "spikefleet"
_MOST_BYTES = 64 << 20
REMOVED = "removed by hand"
# How other tools write our labels.
_WORDS = {"mua": MUA, "good": GOOD, "noise": NOISE, "artifact": NOISE, "sua": GOOD}


def write_curation_json(source: ExportSource, path: Path) -> None:
    """Write the curation of a run; every unit of the sort is in it, exported or not."""
    hand = hand_curation(source)
    document = curation_document(hand, list(hand.trains))
    own = {"curation": hand.to_json(), "of": digest_document(document)}
    write_json(path, {**document, _OURS: own})


def curation_document(hand: HandCuration, units: Sequence[str]) -> dict[str, Any]:
    """Return the curation in the format's own words, of these units of the sort."""
    made_from, replaced = hand.edits.made_from, hand.edits.replaced
    among = frozenset(units)
    labels: dict[str, str] = {}
    for unit, verdict in hand.verdicts.items():
        for part in made_from.get(unit, (unit,)):
            labels.setdefault(part, verdict.label)
    removed = [u for u, v in hand.verdicts.items() if not v.passed and u in among]
    return {
        "format_version": _VERSION,
        "unit_ids": list(units),
        "label_definitions": {_QUALITY: {"label_options": list(LABELS), "exclusive": True}},
        "manual_labels": [
            {"unit_id": unit, "labels": {_QUALITY: [labels[unit]]}}
            for unit in units
            if labels.get(unit)
        ],
        "merges": [
            {"unit_ids": list(merge.unit_ids), "new_unit_id": merge.new_id}
            for merge in hand.edits.merges
            if among.issuperset(merge.unit_ids)
        ],
        "splits": [
            {
                "unit_id": split.unit_id,
                "mode": "indices",
                "indices": [list(part) for part in split.parts],
                "new_unit_ids": list(split.new_ids),
            }
            for split in hand.edits.splits
            if split.unit_id in among
        ],
        "removed": [unit for unit in removed if unit not in replaced],
    }


def read_curation_json(path: Path) -> HandCuration:
    """Read a curation of the format. Raises InputCorruptError with what is wrong in it."""
    document = _read(path)
    own = document.pop(_OURS, None)
    try:
        if str(document.get("format_version")) != _VERSION:
            raise ValueError(
                f"its format_version is {document.get('format_version')!r:.20}, not {_VERSION}"
            )
        base = _own(own)
        if base is not None and own["of"] == digest_document(document):
            return base
        return _hand(document, base)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _corrupt(path, error) from error


def _own(own: Any) -> HandCuration | None:
    """What an export of ours says beside the format."""
    return HandCuration.from_json(own["curation"] | {"tool": "spikeinterface"}) if own else None


def _hand(document: Mapping[str, Any], base: HandCuration | None) -> HandCuration:
    """Read the format's own words; merges that are as they were keep how they were made."""
    units = unit_names(document["unit_ids"])
    if len(units) > MOST_UNITS:
        raise ValueError(f"more than {MOST_UNITS} units")
    known = {merge.new_id: merge for merge in base.edits.merges} if base else {}
    sorted_units, names = frozenset(units), set(units)
    used: set[str] = set()
    merges, splits = [], []
    for given in document.get("merges") or ():
        merge = _merge(given, known, names)
        if not used.isdisjoint(merge.unit_ids):
            raise ValueError(f"a unit of {merge.new_id!r:.60} is merged more than once")
        used.update(merge.unit_ids)
        names.add(merge.new_id)
        merges.append(merge)
    for given in document.get("splits") or ():
        split = _split(given, names)
        names.update(split.new_ids)
        splits.append(split)
    edits = UnitEdits.from_json(UnitEdits(tuple(merges), tuple(splits)).to_json())
    replaced = edits.replaced
    removed = set(unit_names(document.get("removed") or ()))
    labels = _labels(document.get("manual_labels") or ())
    unknown = next((u for u in (*replaced, *removed, *labels) if u not in sorted_units), None)
    if unknown is not None:
        raise ValueError(f"{unknown!r:.60} is none of its unit_ids")
    made = edits.made_from
    there = [unit for unit in units if unit not in replaced]
    verdicts = {unit: _verdict(unit, removed, labels.get(unit, "")) for unit in there}
    for unit, parts in made.items():
        shared = {labels.get(part, "") for part in parts}
        verdicts[unit] = _verdict(unit, removed, shared.pop() if len(shared) == 1 else "")
    return HandCuration("spikeinterface", edits, verdicts, base.trains if base else {})


def _verdict(unit: str, removed: set[str], label: str) -> HandVerdict:
    if unit in removed:
        return HandVerdict(passed=False, reason=REMOVED, label=label)
    if label == NOISE:
        return HandVerdict(passed=False, reason="called noise by hand", label=NOISE)
    return HandVerdict(passed=True, label=label)


def _merge(given: Any, known: Mapping[str, Merge], names: Collection[str]) -> Merge:
    fields = given if isinstance(given, Mapping) else {"unit_ids": given}
    units = unit_names(fields["unit_ids"])
    new_id = fields.get("new_unit_id")
    (name,) = unit_names([merged_id(units, names) if new_id is None else new_id])
    former = known.get(name)
    if former is not None and set(former.unit_ids) == set(units):
        return former
    return Merge(units, merged_id((name,), names) if name in units else name, (0,) * len(units))


def _split(given: Any, names: Collection[str]) -> Split:
    (unit,) = unit_names([given["unit_id"]])
    if given.get("mode", "indices") == "labels":
        groups: dict[int, list[int]] = {}
        for index, label in enumerate(given["labels"]):
            groups.setdefault(label, []).append(index)
        parts = [groups[label] for label in sorted(groups)][:-1]
    else:
        parts = [list(part) for part in given["indices"]]
    wanted = given.get("new_unit_ids")
    if len(parts) > MOST_UNITS:
        raise ValueError(f"unit {unit!r:.60} is split into more than {MOST_UNITS}")
    numbered = (f"{unit}/{number}" for number in itertools.count(1))
    free = (name for name in numbered if name not in names)
    new_ids = unit_names(wanted) if wanted else tuple(next(free) for _ in range(len(parts) + 1))
    if len(new_ids) == len(parts):  # every spike is in one of the parts: the last is the rest
        parts = parts[:-1]
    return Split(unit, new_ids, tuple(tuple(part) for part in parts))


def _labels(given: Sequence[Any]) -> dict[str, str]:
    """The quality of each unit; labels of other kinds are not ours to judge by."""
    found = {}
    for row in given:
        (unit,) = unit_names([row["unit_id"]])
        labels = (row.get("labels") or row).get(_QUALITY) or ()
        if labels:
            word = str(labels[0])
            found[unit] = word if word in LABELS else _WORDS.get(word.lower(), "")
    return found


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        raise _corrupt(path, f"it is no file of at most {_MOST_BYTES >> 20} MiB")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _corrupt(path, "it is no JSON") from error
    if not isinstance(found, dict):
        raise _corrupt(path, "it is no document of a curation")
    return found


def _corrupt(path: Path, why: object) -> InputCorruptError:
    return InputCorruptError(
        f"{path} is no curation in SpikeInterface's format 2 ({str(why)[:300]}). Export one with: "
        "spikefleet fetch RUN --as curation-json",
        path=str(path),
    )
