"""A curation that a person made: merges, splits and a verdict on every unit, tied to one sort.

It travels as a document between a folder that was edited in another tool, the service and the
curation that is made of it. Whoever hands it in is not trusted: it is checked field by field, and
the trains it was made on are held against those of the sort.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.units.unit_edits import UnitEdits
from spikefleet.signal.units.unit_names import unit_names

VERSION = 1
MOST_UNITS = 20_000
_MOST_TEXT = 500
_MOST_SORTS = 100


@dataclass(frozen=True)
class HandVerdict:
    """Whether a unit is kept, the reason where it is not, and its label ("" for none)."""

    passed: bool
    reason: str = ""
    label: str = ""


@dataclass(frozen=True)
class HandCuration:
    """``verdicts`` on the units there are after the ``edits``; ``tool`` is where it was made.

    ``trains`` are the digests of the sort's trains that it was made on, by unit. ``support`` tells
    of a unit which units of other sorts agree with it.
    """

    tool: str
    edits: UnitEdits = field(default_factory=UnitEdits)
    verdicts: Mapping[str, HandVerdict] = field(default_factory=dict)
    trains: Mapping[str, str] = field(default_factory=dict)
    support: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; ``from_json`` reads it back."""
        return {
            "version": VERSION,
            "tool": self.tool,
            "edits": self.edits.to_json(),
            "verdicts": {unit: asdict(verdict) for unit, verdict in self.verdicts.items()},
            "trains": dict(self.trains),
            "support": dict(self.support),
        }

    @classmethod
    def from_json(cls, document: Any) -> HandCuration:
        """Read what ``to_json`` wrote, or anybody else. Raises ValueError for nonsense."""
        try:
            if document["version"] != VERSION:
                raise ValueError(f"version {document['version']!r:.20}")
            verdicts, trains = document["verdicts"], document["trains"]
            if max(len(verdicts), len(trains)) > MOST_UNITS:
                raise ValueError(f"more than {MOST_UNITS} units")
            unit_names([*verdicts])
            return cls(
                tool=_text(document["tool"]),
                edits=UnitEdits.from_json(document["edits"]),
                verdicts={unit: _verdict(given) for unit, given in verdicts.items()},
                trains={unit: _text(digest) for unit, digest in trains.items()},
                support=_support(document.get("support") or {}),
            )
        except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise ValueError(f"no curation by hand ({error})") from error

    def require_of(self, trains: Mapping[str, NDArray[np.int64]]) -> None:
        """Refuse a curation of another sort than that with these trains (sorted samples).

        Raises InputCorruptError.
        """
        for unit, digest in self.trains.items():
            if unit not in trains:
                raise _of_another_sort(f"the sort has no unit {unit!r:.60}")
            if train_digest(trains[unit]) != digest:
                raise _of_another_sort(f"unit {unit!r:.60} has other spikes in the sort")

    def require_units(self, unit_ids: Sequence[str]) -> None:
        """Refuse a verdict on a unit that there is not. Raises InputCorruptError."""
        there = set(unit_ids)
        unknown = next((unit for unit in self.verdicts if unit not in there), None)
        if unknown is not None:
            raise _of_another_sort(f"there is no unit {unknown!r:.60}")


def train_digest(train: NDArray[np.int64]) -> str:
    """SHA-256 (hex) of a spike train in samples."""
    return hashlib.sha256(np.ascontiguousarray(train, dtype="<i8").tobytes()).hexdigest()


def _of_another_sort(why: str) -> InputCorruptError:
    return InputCorruptError(
        f"The curation by hand is not of this sort: {why}. Fetch the run again and curate that.",
        reason="another_sort",
    )


def _verdict(given: Mapping[str, Any]) -> HandVerdict:
    passed = given["passed"]
    if not isinstance(passed, bool):
        raise ValueError(f"{passed!r:.40} is no verdict")  # noqa: TRY004 - of a document
    return HandVerdict(passed, _text(given["reason"]), _text(given["label"]))


def _support(given: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    if len(given) > MOST_UNITS:
        raise ValueError(f"support of more than {MOST_UNITS} units")
    return {
        _text(unit): [
            {
                "run_id": _text(one["run_id"]),
                "unit_id": _text(one["unit_id"]),
                "agreement": _finite(one["agreement"]),
            }
            for one in others[:_MOST_SORTS]
        ]
        for unit, others in given.items()
    }


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no agreement")
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MOST_TEXT or not value.isprintable():
        raise ValueError(f"{value!r:.60} is no short text")
    return value
