"""Metrics of spike times by SpikeInterface's definitions, counted without its compiler.

The library compiles these three families anew in each process, which costs more than all counting.
A pair of spikes that spans a seam is none here. What cannot be measured is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import poisson

from spikefleet.core.config.units import CurationConfig
from spikefleet.signal.units.correlograms import pairs
from spikefleet.signal.units.unit_data import FloatArray, IntArray, UnitData

SYNCHRONY_SIZES = (2, 4, 8)
_BIN_MS = 0.25
_LONGEST_PERIOD_MS = 10.0
_SHORTEST_PERIOD_S = 0.5 / 1000
_CONFIDENCE = 0.9
_SHARES = np.arange(0.5, 35.5, 0.5) / 100


@dataclass(frozen=True)
class UnitTiming:
    """Metrics of one unit's spike times; see ``library_metric_rows``."""

    rp_violations: float  #: pairs
    rp_contamination: float  #: 0 to 1
    sliding_rp_violation: float  #: 0.005 to 0.345
    sync_spike_2: float  #: 0 to 1
    sync_spike_4: float  #: 0 to 1
    sync_spike_8: float  #: 0 to 1

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; what could not be measured is None."""
        told = {k: v if math.isfinite(v) else None for k, v in vars(self).items()}
        pairs_seen = told["rp_violations"]
        return told | {"rp_violations": None if pairs_seen is None else round(pairs_seen)}


def measure_timing(data: UnitData, curation: CurationConfig | None = None) -> list[UnitTiming]:
    """Measure every unit, in the order of ``data.unit_ids``.

    ``curation`` says how long the refractory and the censored period are.
    """
    periods = curation or CurationConfig()
    together = synchrony(data)
    return [
        UnitTiming(*_refractory(data, train, periods), *(float(share) for share in shares))
        for train, shares in zip(data.trains(), together, strict=True)
    ]


def synchrony(data: UnitData) -> FloatArray:
    """Share of each unit's spikes in a sample with at least 2, 4 and 8 spikes of all, (U, 3).

    A unit that spikes twice in one sample counts once there. NaN for a unit without spikes.
    """
    samples, units = data.spike_samples, data.spike_units
    begins = np.ones(len(samples), dtype=bool)
    begins[1:] = samples[1:] != samples[:-1]
    group = np.cumsum(begins) - 1
    sizes = np.bincount(group) if len(group) else group
    shared = sizes[group] > 1
    who = np.unique(group[shared] * max(1, data.unit_count) + units[shared])
    group_of, unit_of = np.divmod(who, max(1, data.unit_count))
    counts = np.array(
        [
            np.bincount(unit_of[sizes[group_of] >= size], minlength=data.unit_count)
            for size in SYNCHRONY_SIZES
        ],
        dtype=np.float64,
    )
    with np.errstate(invalid="ignore"):
        return np.asarray((counts / data.spike_counts()).T)


def _refractory(
    data: UnitData, train: IntArray, periods: CurationConfig
) -> tuple[float, float, float]:
    """Return pairs in the refractory period, contamination by them, and by a sliding period."""
    n_spikes, n_samples = len(train), round(data.duration_s * data.sampling_rate_hz)
    if not n_spikes or not n_samples:
        return math.nan, math.nan, math.nan
    refractory, censored = (
        round(period_ms * data.sampling_rate_hz * 1e-3)
        for period_ms in (periods.refractory_period_ms, periods.censored_period_ms)
    )
    longest = math.ceil(_LONGEST_PERIOD_MS * data.sampling_rate_hz / 1000)
    apart = _lags(train, max(refractory, longest), data.seams)
    violations = float(apart[: refractory + 1].sum())
    return (
        violations,
        _contamination(violations, n_spikes, n_samples, refractory, censored),
        sliding_contamination(apart, n_spikes, data.sampling_rate_hz, data.duration_s),
    )


def _lags(train: IntArray, longest: int, seams: IntArray) -> FloatArray:
    """Return how many pairs of spikes are 0, 1, ... ``longest`` samples apart, each once."""
    found = pairs(train, None, longest, seams)
    counts = np.zeros(longest + 1)
    for lags in found.lags():
        counts += np.bincount(np.abs(lags), minlength=longest + 1)
    return counts / (2 * found.share)


def _contamination(
    violations: float, n_spikes: int, n_samples: int, refractory: int, censored: int
) -> float:
    """As ``relations.contamination``, in whole samples as the library counts."""
    if n_spikes < 2 or refractory <= censored:
        return math.nan
    seen = n_samples - 2 * n_spikes * censored
    own = 1.0 - violations * seen / (n_spikes**2 * (refractory - censored))
    return 1.0 - math.sqrt(own) if own >= 0 else 1.0


def sliding_contamination(
    apart: FloatArray, n_spikes: int, rate_hz: float, duration_s: float
) -> float:
    """Return the lowest contamination that the pairs rule out at some refractory period.

    ``apart`` are pairs by their distance in samples. Expected pairs are those of Llobet et al.
    (2022), observed ones Poisson; NaN where no contamination of the table is ruled out.
    """
    width = round(rate_hz * _BIN_MS * 1e-3)
    if width < 1 or duration_s <= 0:
        return math.nan
    width_s = width * 1e3 / rate_hz / 1000
    n_bins = int(_LONGEST_PERIOD_MS / 1000 / width_s)
    edges_s = np.arange(n_bins + 1) * width * 1e3 / rate_hz / 1000
    inside = apart[: n_bins * width]
    seen = np.zeros(n_bins * width)
    seen[: len(inside)] = inside
    seen[0] *= 2  # as the library's correlogram has them, on both sides of 0
    observed = np.cumsum(seen.reshape(n_bins, width).sum(axis=1))
    confidence = _confidence(observed, n_spikes, duration_s, edges_s[1:])
    tested = (edges_s[:-1] + edges_s[1:]) / 2 > _SHORTEST_PERIOD_S
    ruled_out = (confidence[:, tested] > _CONFIDENCE).any(axis=1)
    return float(_SHARES[ruled_out.argmax()]) if ruled_out.any() else math.nan


def _confidence(
    observed: FloatArray, n_spikes: int, duration_s: float, periods_s: FloatArray
) -> NDArray[np.float64]:
    """Chance of more pairs than observed, (shares, periods), were that share of spikes foreign."""
    foreign = n_spikes * _SHARES[:, np.newaxis]
    own = n_spikes * (1 - _SHARES[:, np.newaxis])
    expected = 2 * periods_s / duration_s * foreign * (own + (foreign - 1) / 2)
    return np.asarray(1 - poisson.cdf(observed, expected))
