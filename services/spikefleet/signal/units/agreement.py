"""How far two sortings of one recording agree, unit by unit.

Agreement of two units is the share of their spikes that both have: hits over (hits + what only one
has), with spikes within ``delta_ms`` being one. Where the second sorting is the truth, this is
accuracy, and the first one's precision and recall are the two other columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from spikeinterface.comparison import compare_two_sorters
from spikeinterface.core import NumpySorting

from spikefleet.signal.units.unit_data import IntArray

DELTA_MS = 0.4
# A pair below it is chance, not a match.
LEAST_AGREEMENT = 0.1


@dataclass(frozen=True)
class UnitAgreement:
    """Two matched units, or one that has no match (the other is None, and its numbers 0).

    ``precision`` is hits over the first one's spikes, ``recall`` hits over the second one's.
    """

    first: str | None  #: of the first sorting
    second: str | None  #: of the second
    agreement: float  #: hits over all spikes of both, 0 to 1
    precision: float
    recall: float
    first_spikes: int
    second_spikes: int


@dataclass(frozen=True)
class SortingAgreement:
    """Units matched one to one; ``matrix`` holds the agreement of every pair, (first, second)."""

    first_units: tuple[str, ...]
    second_units: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    units: tuple[UnitAgreement, ...]

    @property
    def mean_agreement(self) -> float:
        """Mean over the second sorting's units, one without a match counting as 0; NaN of none."""
        scores = [unit.agreement for unit in self.units if unit.second is not None]
        return float(np.mean(scores)) if scores else math.nan

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        mean = self.mean_agreement
        return asdict(self) | {"mean_agreement": None if math.isnan(mean) else mean}


def compare_sortings(
    first: Mapping[str, IntArray],
    second: Mapping[str, IntArray],
    sampling_rate_hz: float,
    *,
    delta_ms: float = DELTA_MS,
    least_agreement: float = LEAST_AGREEMENT,
) -> SortingAgreement:
    """Compare two sortings, unit id to ascending samples; units without spikes match nothing.

    Matched so that the agreement of all pairs together is largest (Hungarian), where it is at least
    ``least_agreement``. The second
    sorting's units come in their order, then those of the first that nothing matched.
    """
    trains = [{unit: t for unit, t in given.items() if len(t)} for given in (first, second)]
    matrix = np.zeros((len(first), len(second)))
    pairs: dict[str, str] = {}
    if all(trains):
        found = compare_two_sorters(
            *(NumpySorting.from_unit_dict([given], sampling_rate_hz) for given in trains),
            delta_time=delta_ms,
            match_score=least_agreement,
        )
        scores = found.agreement_scores.reindex(
            index=list(first), columns=list(second), fill_value=0.0
        )
        matrix = scores.to_numpy(dtype=float)
        matched = found.hungarian_match_21.astype(str).items()
        pairs = {str(ours): theirs for ours, theirs in matched if theirs in first}
    places = {unit: index for index, unit in enumerate(first)}
    rows = [
        _row(
            first, second, (pairs.get(unit), unit), _score(matrix, places, pairs.get(unit), column)
        )
        for column, unit in enumerate(second)
    ]
    taken = set(pairs.values())
    rows += [_row(first, second, (unit, None), 0.0) for unit in first if unit not in taken]
    return SortingAgreement(
        tuple(first), tuple(second), tuple(tuple(map(float, row)) for row in matrix), tuple(rows)
    )


def _score(
    matrix: np.ndarray[Any, np.dtype[np.float64]],
    places: Mapping[str, int],
    unit: str | None,
    column: int,
) -> float:
    return 0.0 if unit is None else float(matrix[places[unit], column])


def _row(
    first: Mapping[str, IntArray],
    second: Mapping[str, IntArray],
    pair: tuple[str | None, str | None],
    agreement: float,
) -> UnitAgreement:
    """One pair with precision and recall, which follow from the agreement and both counts."""
    ours = 0 if pair[0] is None else len(first[pair[0]])
    theirs = 0 if pair[1] is None else len(second[pair[1]])
    hits = round(agreement * (ours + theirs) / (1 + agreement))
    return UnitAgreement(
        *pair,
        agreement=agreement,
        precision=hits / ours if ours else 0.0,
        recall=hits / theirs if theirs else 0.0,
        first_spikes=ours,
        second_spikes=theirs,
    )
