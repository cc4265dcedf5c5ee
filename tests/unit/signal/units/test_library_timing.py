"""Refractory pairs, sliding refractory period and synchrony, by hand."""

import json
import math

import numpy as np
import pytest
from tests.support.sorted_units import make_data, trough

from spikefleet.core.config.units import CurationConfig
from spikefleet.signal.preparing.timeline import FileSpan, Timeline
from spikefleet.signal.units.library_timing import (
    UnitTiming,
    measure_timing,
    sliding_contamination,
)

NAN = math.nan
CUT = Timeline(10_000.0, (FileSpan("", 200_000),), ((0, 104), (110, 100_006)))


def measure(*trains: list[int], **changes: object) -> list[UnitTiming]:
    curation = changes.pop("curation", None)
    data = make_data(list(trains), np.stack([trough(0, 40.0)] * len(trains)), **changes)
    return measure_timing(data, curation)


# 10 s at 10 kHz: 100 000 samples; the period of 1.5 ms is 15 of them.
@pytest.mark.parametrize(
    ("train", "changes", "violations", "contamination"),
    [
        ([], {}, NAN, NAN),
        ([100], {}, 0, NAN),
        ([100, 200], {}, 0, 0.0),
        ([100, 115], {}, 1, 1.0),  # the period itself counts
        ([100, 116], {}, 0, 0.0),
        ([100, 100], {}, 1, 1.0),
        ([100, 105, 110], {}, 3, 1.0),  # three within it are three pairs
        ([100, 105], {"timeline": CUT}, 0, 0.0),
        ([*range(0, 100_000, 100), 5], {}, 1, 1 - math.sqrt(1 - 100_000 / (1001**2 * 15))),
        (
            [*range(0, 100_000, 100), 5],
            {"curation": CurationConfig(refractory_period_ms=0.4)},
            0,
            0.0,
        ),
        (
            [*range(0, 100_000, 100), 5],
            {"curation": CurationConfig(censored_period_ms=0.5)},
            1,
            1 - math.sqrt(1 - (100_000 - 2 * 1001 * 5) / (1001**2 * 10)),
        ),
        ([100, 200], {"duration_s": 0.0}, NAN, NAN),
    ],
)
def test_refractory_pairs_by_hand(
    train: list[int], changes: dict[str, object], violations: float, contamination: float
) -> None:
    (found,) = measure(train, **changes)
    assert found.rp_violations == pytest.approx(violations, nan_ok=True)
    assert found.rp_contamination == pytest.approx(contamination, nan_ok=True)


# Of 1000 spikes in 10 s, C foreign ones are expected in 2·t/10·C·(1000 − C + (C − 1)/2) pairs.
@pytest.mark.parametrize(
    ("lags", "n_spikes", "expected"),
    [
        # Nothing in 10 ms: 5 foreign spikes give 9.965 pairs, and 1 − exp(−9.965) > 0.9.
        ([], 1000, 0.005),
        # Nothing, of 100 spikes: 1 − exp(−0.002·C·(100 − C + (C−1)/2)) > 0.9 from 12.5 % on.
        ([], 100, 0.125),
        # Pairs from 3 ms on leave a period of 3 ms: 2.99 pairs expected, none seen.
        ([30] * 100_000, 1000, 0.005),
        # Pairs below 0.5 ms speak for every longer period, too.
        ([2] * 100_000, 1000, NAN),
        ([], 0, NAN),
    ],
)
def test_sliding_contamination_by_hand(lags: list[int], n_spikes: int, expected: float) -> None:
    apart = np.bincount(np.array(lags, dtype=np.int64), minlength=101).astype(float)
    found = sliding_contamination(apart, n_spikes, 10_000.0, 10.0)
    assert found == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("trains", "expected"),
    [
        ([[10, 20], [30]], [(0, 0, 0), (0, 0, 0)]),
        ([[10, 20], [20]], [(0.5, 0, 0), (1, 0, 0)]),  # two units share a sample
        ([[10, 10], [20]], [(0.5, 0, 0), (0, 0, 0)]),  # one unit's two spikes are one event of it
        ([[5], [5], [5], [5]], [(1, 1, 0)] * 4),
        ([[5]] * 8, [(1, 1, 1)] * 8),
        ([[5], []], [(0, 0, 0), (NAN, NAN, NAN)]),
        ([[], []], [(NAN, NAN, NAN)] * 2),
    ],
)
def test_synchrony_by_hand(trains: list[list[int]], expected: list[tuple[float, ...]]) -> None:
    found = [(u.sync_spike_2, u.sync_spike_4, u.sync_spike_8) for u in measure(*trains)]
    assert found == [pytest.approx(each, nan_ok=True) for each in expected]


def test_what_is_not_measured_is_none_in_json() -> None:
    told = [json.loads(json.dumps(u.to_json(), allow_nan=False)) for u in measure([], [7, 8, 9])]
    assert set(told[0].values()) == {None}
    assert told[1]["rp_violations"] == 3
    assert isinstance(told[1]["rp_violations"], int)


def test_no_units_have_no_times() -> None:
    assert measure_timing(make_data([], np.zeros((0, 4, 2)))) == []
