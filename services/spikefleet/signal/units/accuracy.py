"""How well found units match units that are known, where a recording comes with its truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spikefleet.signal.units.agreement import DELTA_MS, compare_sortings

_EXPLAINS = 0.5  # a found unit that agrees less explains no true one


@dataclass(frozen=True)
class UnitAccuracy:
    """One true unit and the found unit that explains it best (None: it was missed).

    accuracy = hits / (hits + misses + false alarms), precision = hits / found,
    recall = hits / true; all between 0 and 1.
    """

    truth_unit: str
    best_unit: str | None
    accuracy: float
    precision: float
    recall: float


@dataclass(frozen=True)
class AccuracyReport:
    """Accuracy of a whole sorting; a missed unit counts as 0 in the mean."""

    mean_accuracy: float
    per_unit: tuple[UnitAccuracy, ...]
    n_found: int

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return asdict(self)


def compare_to_truth(
    found: Mapping[Any, ArrayLike],
    truth: Mapping[Any, ArrayLike],
    sampling_rate_hz: float,
    *,
    delta_ms: float = DELTA_MS,
) -> AccuracyReport:
    """Match found to true spike trains (samples) one to one, spikes within ``delta_ms`` agreeing.

    Raises ValueError when the truth holds no units.
    """
    if not truth:
        raise ValueError("There is nothing to compare with: the truth holds no units.")
    found_trains, true_trains = (
        {str(unit): np.sort(np.asarray(train, np.int64)) for unit, train in given.items()}
        for given in (found, truth)
    )
    agreement = compare_sortings(
        found_trains,
        true_trains,
        sampling_rate_hz,
        delta_ms=delta_ms,
        least_agreement=_EXPLAINS,
    )
    rows = tuple(
        UnitAccuracy(unit.second, unit.first, unit.agreement, unit.precision, unit.recall)
        for unit in agreement.units
        if unit.second is not None
    )
    return AccuracyReport(agreement.mean_agreement, rows, len(found))
