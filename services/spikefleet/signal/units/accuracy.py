"""How well found units match units that are known, where a recording comes with its truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from spikeinterface.comparison import compare_sorter_to_ground_truth
from spikeinterface.core import NumpySorting


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
    delta_ms: float = 0.4,
) -> AccuracyReport:
    """Match found to true spike trains (samples) one to one, spikes within ``delta_ms`` agreeing.

    Raises ValueError when the truth holds no units.
    """
    if not truth:
        raise ValueError("There is nothing to compare with: the truth holds no units.")
    if not any(np.size(train) for train in found.values()):
        missed = tuple(UnitAccuracy(str(unit), None, 0.0, 0.0, 0.0) for unit in truth)
        return AccuracyReport(0.0, missed, len(found))
    comparison = compare_sorter_to_ground_truth(
        _sorting(truth, sampling_rate_hz),
        _sorting(found, sampling_rate_hz),
        exhaustive_gt=True,
        match_mode="hungarian",
        delta_time=delta_ms,
    )
    performance = comparison.get_performance()
    rows = []
    for unit in (str(key) for key in truth):
        best = str(comparison.hungarian_match_12[unit])
        scores = {key: float(performance[key][unit]) for key in ("accuracy", "precision", "recall")}
        rows.append(UnitAccuracy(unit, None if best in ("-1", "") else best, **scores))
    mean = float(np.mean([row.accuracy for row in rows]))
    return AccuracyReport(mean, tuple(rows), len(found))


def _sorting(trains: Mapping[Any, ArrayLike], sampling_rate_hz: float) -> NumpySorting:
    """Return the trains as a sorting with text ids, so that both sides are of one kind."""
    samples = {str(unit): np.sort(np.asarray(train, np.int64)) for unit, train in trains.items()}
    return NumpySorting.from_unit_dict([samples], sampling_rate_hz)
