"""What a unit shares with others: spikes that are not its own, and a unit that may be the same.

A neuron that a sorter split, or found twice, gives units that each look good. What tells them is
the pair: alike templates with either the same spikes or a refractory period between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2

from spikefleet.core.config.units import CurationConfig
from spikefleet.signal.units.correlograms import pairs
from spikefleet.signal.units.unit_data import FloatArray, IntArray, UnitData

SAME_SPIKE_MS = 0.4
NEAR_UM = 200.0
SIMILAR = 0.8
_CERTAINLY_SIMILAR = 0.95  # where a pair has too few spikes to show a refractory period
SHARED_SPIKES = 0.2  # of the smaller unit, from which two alike units are one
_DIP = 0.3
_ENOUGH_PAIRS = 5.0
_CONFIDENCE = 0.95
_MOST_NEIGHBOURS = 50  # of a spike within a refractory period; beyond, pairs are counted otherwise


@dataclass(frozen=True)
class UnitRelation:
    """One unit among the others; what cannot be measured is NaN.

    Contamination is by Llobet et al. (2022), other neurons being independent.
    """

    unit_id: str  #: as the sorter called it
    contamination: float  #: share of other neurons' spikes that violations tell of, 0 to 1
    contamination_low: float  #: lower end of its 95 % interval
    contamination_high: float  #: upper end
    similar_unit: str  #: within 200 µm with the most alike template; "" for none
    similarity: float  #: cosine of both at the best lag
    shared_spikes: float  #: of the smaller of both that the other has within 0.4 ms, 0 to 1
    refractory_dip: float  #: pairs beyond 0.4 ms in the period over what independence gives
    possible_duplicate: bool  #: both are probably one neuron

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary without the unit's id; NaN is None."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in vars(self).items()
            if name != "unit_id"
        }


@dataclass(frozen=True)
class UnitPair:
    """What two units have in common."""

    shared: float = math.nan
    dip: float = math.nan
    expected: float = 0.0

    def is_duplicate(self, similarity: float, least: float = SIMILAR) -> bool:
        """Say whether two alike templates (cosine of at ``least``) are probably one neuron."""
        if not similarity >= least:
            return False
        if self.shared >= SHARED_SPIKES:
            return True
        if self.expected >= _ENOUGH_PAIRS:
            return self.dip <= _DIP
        return similarity >= _CERTAINLY_SIMILAR and self.dip == 0.0


def contamination(
    violations: float,
    n_spikes: int,
    duration_s: float,
    refractory_s: float,
    censored_s: float = 0.0,
) -> float:
    """Share of foreign spikes that ``violations`` (pairs) tell of; 1 where they are too many.

    No pair is expected nearer than ``censored_s``.
    """
    if n_spikes < 2 or duration_s <= 0:
        return math.nan
    seen_s = duration_s - 2 * n_spikes * censored_s
    own = 1.0 - violations * seen_s / (n_spikes**2 * (refractory_s - censored_s))
    return 1.0 - math.sqrt(own) if own >= 0 else 1.0


def violation_bounds(violations: int) -> tuple[float, float]:
    """Ends of the exact 95 % interval of a Poisson count (Garwood)."""
    tail = (1.0 - _CONFIDENCE) / 2
    low = float(chi2.ppf(tail, 2 * violations)) / 2 if violations else 0.0
    return low, float(chi2.ppf(1.0 - tail, 2 * violations + 2)) / 2


def measure_relations(
    data: UnitData, curation: CurationConfig | None = None
) -> tuple[UnitRelation, ...]:
    """Measure every unit among the others, in the order of ``data.unit_ids``.

    ``curation`` says how long a refractory period is.
    """
    periods, trains = curation or CurationConfig(), data.trains()
    return tuple(
        _relation(data, trains, index, nearest, periods)
        for index, nearest in enumerate(similar_units(data))
    )


def _relation(
    data: UnitData,
    trains: list[IntArray],
    index: int,
    nearest: tuple[int, float],
    periods: CurationConfig,
) -> UnitRelation:
    train, (other, similarity) = trains[index], nearest
    refractory_s, censored_s = (
        periods.refractory_period_ms / 1000,
        periods.censored_period_ms / 1000,
    )
    count, share = _violations(train, refractory_s * data.sampling_rate_hz, data.seams)
    ours, low, high = (
        contamination(each / share, len(train), data.duration_s, refractory_s, censored_s)
        for each in (count, *violation_bounds(count))
    )
    pair = UnitPair() if other < 0 else compare_pair(data, train, trains[other], refractory_s)
    return UnitRelation(
        unit_id=data.unit_ids[index],
        contamination=ours,
        contamination_low=low,
        contamination_high=high,
        similar_unit="" if other < 0 else data.unit_ids[other],
        similarity=similarity,
        shared_spikes=pair.shared,
        refractory_dip=pair.dip,
        possible_duplicate=pair.is_duplicate(similarity),
    )


def _violations(train: IntArray, refractory_samples: float, seams: IntArray) -> tuple[int, float]:
    """Pairs of spikes nearer than the refractory period (strictly), each once, of those seen.

    With the share of the spikes that were looked at.
    """
    found = pairs(train, None, math.ceil(refractory_samples), seams)
    near = sum(int(np.count_nonzero(np.abs(lag) < refractory_samples)) for lag in found.lags())
    return near // 2, found.share


def compare_pair(
    data: UnitData, first: IntArray, second: IntArray, refractory_s: float
) -> UnitPair:
    """Return what two ascending trains have in common: spikes, and pairs below the period."""
    if not (len(first) and len(second)) or data.duration_s <= 0:
        return UnitPair()
    small, large = sorted((first, second), key=len)
    same = SAME_SPIKE_MS * data.sampling_rate_hz / 1000
    refractory = refractory_s * data.sampling_rate_hz
    at = np.searchsorted(large, small)
    before = np.abs(small - large[np.maximum(at - 1, 0)])
    after = np.abs(small - large[np.minimum(at, len(large) - 1)])
    shared = float(np.mean(np.minimum(before, after) <= same))
    observed, share = _close_pairs(data, (small, large), at, (same, refractory))
    # Whole samples between the two, on both sides.
    n_lags = max(0, 2 * (math.ceil(refractory) - 1 - math.floor(same)))
    n_samples = data.duration_s * data.sampling_rate_hz
    expected = share * len(small) * len(large) * n_lags / n_samples
    return UnitPair(shared, observed / expected if expected else math.nan, expected)


def _close_pairs(
    data: UnitData, trains: tuple[IntArray, IntArray], at: IntArray, apart: tuple[float, float]
) -> tuple[int, float]:
    """Count pairs of two trains that are more and less than so many samples ``apart``.

    ``at`` is where each spike of the first belongs in the second. With the share of the first's
    spikes that were looked at.
    """
    (small, large), (same, refractory) = trains, apart
    if not data.seams.size:
        after = _neighbours(small, large, at, 1, apart)
        before = _neighbours(small, large, at - 1, -1, apart)
        if after >= 0 and before >= 0:
            return after + before, 1.0
    close = pairs(small, large, math.ceil(refractory), data.seams)
    lags = map(np.abs, close.lags())
    return sum(
        int(np.count_nonzero((lag > same) & (lag < refractory))) for lag in lags
    ), close.share


def _neighbours(
    small: IntArray, large: IntArray, at: IntArray, step: int, apart: tuple[float, float]
) -> int:
    """Count such pairs on one side, neighbour by neighbour; -1 where a burst has no end."""
    (same, refractory), found = apart, 0
    for _ in range(_MOST_NEIGHBOURS):
        inside = (at >= 0) & (at < len(large))
        small, at = small[inside], at[inside]
        lag = np.abs(large[at] - small)
        close = lag < refractory
        if not close.any():
            return found
        found += int(np.count_nonzero(lag[close] > same))
        small, at = small[close], at[close] + step
    return -1


def similar_units(data: UnitData) -> list[tuple[int, float]]:
    """Return of each unit the one with the most alike template, and their cosine; (-1, NaN) alone.

    Of units within 200 µm, over all channels, at the best lag of at most 10 samples.
    """
    n_units, n_samples, _ = data.templates_uv.shape
    if n_units < 2 or n_samples == 0:
        return [(-1, math.nan)] * n_units
    likeness = data.likeness
    near = unit_distances_um(data) <= NEAR_UM
    np.fill_diagonal(near, val=False)
    return [likeness.nearest(index, np.flatnonzero(near[index])) for index in range(n_units)]


def unit_distances_um(data: UnitData) -> FloatArray:
    """Distances between all units, (U, U); an unknown place is that of the largest channel."""
    places = data.unit_locations_um
    unknown = np.isnan(places[:, :1])
    if unknown.any():
        peaks = np.abs(data.templates_uv).max(axis=1).argmax(axis=1)
        places = np.where(unknown, data.channel_locations_um[peaks], places)
    apart: FloatArray = np.linalg.norm(places[:, np.newaxis] - places[np.newaxis], axis=2)
    return apart
