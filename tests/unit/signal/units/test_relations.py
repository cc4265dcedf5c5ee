"""Contamination, and units that may be one neuron."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import poisson
from tests.support.sorted_units import RATE_HZ, make_data, trough

from spikefleet.core.config.units import CurationConfig
from spikefleet.signal.preparing.timeline import FileSpan, Timeline
from spikefleet.signal.units import correlograms
from spikefleet.signal.units.relations import (
    compare_pair,
    contamination,
    measure_relations,
    similar_units,
    violation_bounds,
)
from spikefleet.signal.units.unit_data import UnitData

DURATION_S = 300.0


def spikes(seed: int, rate_hz: float = 20.0, refractory_s: float = 0.003) -> np.ndarray:
    """A neuron with a refractory period, in samples at 10 kHz."""
    random = np.random.default_rng(seed)
    gaps_s = refractory_s + random.exponential(1 / rate_hz - refractory_s, int(rate_hz * 400))
    samples = np.round(np.cumsum(gaps_s) * RATE_HZ).astype(np.int64)
    return samples[samples < DURATION_S * RATE_HZ]


def units_of(*trains: np.ndarray, templates: np.ndarray | None = None) -> UnitData:
    if templates is None:
        templates = np.stack([trough(0, 50.0)] * len(trains))
    data = make_data([train.tolist() for train in trains], templates)
    near = np.array([[1.0, 2.0]] * len(trains))
    return replace(data, duration_s=DURATION_S, unit_locations_um=near)


def test_a_neuron_that_was_split_is_marked_on_both_sides() -> None:
    whole = spikes(1)
    part = np.random.default_rng(2).random(len(whole)) < 0.3
    relations = measure_relations(units_of(whole[part], whole[~part]))
    assert [r.possible_duplicate for r in relations] == [True, True]
    assert [r.similar_unit for r in relations] == ["u1", "u0"]
    assert relations[0].similarity == pytest.approx(1.0)
    assert relations[0].refractory_dip == 0.0
    assert relations[0].shared_spikes < 0.05


def test_a_neuron_that_was_found_twice_is_marked() -> None:
    whole = spikes(1)
    relations = measure_relations(units_of(whole, whole + 2))
    assert all(r.possible_duplicate for r in relations)
    assert relations[0].shared_spikes == 1.0


def test_two_neurons_with_like_templates_are_not_marked() -> None:
    relations = measure_relations(units_of(spikes(1), spikes(2)))
    assert [r.possible_duplicate for r in relations] == [False, False]
    assert relations[0].refractory_dip == pytest.approx(1.0, abs=0.25)


def test_a_split_with_unlike_templates_is_not_marked() -> None:
    whole = spikes(1)
    templates = np.stack([trough(0, 50.0), trough(1, 50.0)])
    relations = measure_relations(units_of(whole[::2], whole[1::2], templates=templates))
    assert relations[0].similar_unit == ""
    assert not any(r.possible_duplicate for r in relations)


def test_units_far_apart_are_no_neighbours() -> None:
    data = units_of(spikes(1), spikes(2))
    apart = replace(data, unit_locations_um=np.array([[0.0, 0.0], [0.0, 500.0]]))
    relation = measure_relations(apart)[0]
    assert relation.similar_unit == ""
    assert math.isnan(relation.similarity)


def test_a_template_is_recognised_at_another_lag() -> None:
    late = np.zeros((40, 2))
    late[10, 0], late[11, 0] = -50.0, 20.0
    early = np.roll(late, -6, axis=0)
    data = units_of(spikes(1), spikes(2), templates=np.stack([late, early]))
    assert similar_units(data)[0] == (1, pytest.approx(1.0))


def test_rare_units_need_nearly_equal_templates_and_no_close_spikes() -> None:
    few = spikes(1)[:40]
    relations = measure_relations(units_of(few[::2], few[1::2]))
    assert all(r.possible_duplicate for r in relations)


def test_contamination_of_a_mixture_is_within_its_interval() -> None:
    (relation,) = measure_relations(units_of(spikes_of_two()))
    assert relation.contamination == pytest.approx(0.09, abs=0.03)
    assert relation.contamination_low < 0.09 < relation.contamination_high


def spikes_of_two() -> np.ndarray:
    """A neuron and one that fires a tenth as often: 0.09 of all spikes are foreign."""
    return np.sort(np.concatenate([spikes(1), spikes(5, rate_hz=2.0)]))


@pytest.mark.parametrize(
    ("violations", "n_spikes", "expected"),
    [(0, 100, 0.0), (0, 1, math.nan), (10**6, 100, 1.0), (4, 1000, 1 - math.sqrt(1 - 0.8))],
)
def test_contamination_by_hand(violations: int, n_spikes: int, expected: float) -> None:
    found = contamination(violations, n_spikes, duration_s=300.0, refractory_s=0.0015)
    assert found == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("trains", "metric", "expected"),
    [
        # Close pairs are 0.4 ms (4 samples, which are shared) to 1.5 ms (15, which are not) apart.
        (([100], [104]), "shared_spikes", 1.0),
        (([100], [105]), "shared_spikes", 0.0),
        (([100, 900], [104]), "shared_spikes", 1.0),  # of the smaller one
        (([100, 100], [100]), "shared_spikes", 1.0),
        # One close pair, over 1 · 1 pairs · 20 lags / 3 000 000 samples.
        (([100], [105]), "refractory_dip", 150_000.0),
        (([100], [114]), "refractory_dip", 150_000.0),
        (([100], [115]), "refractory_dip", 0.0),
        (([100], [104]), "refractory_dip", 0.0),
        (([100], []), "refractory_dip", math.nan),
        (([100], []), "shared_spikes", math.nan),
        (([100], [200]), "similarity", 1.0),
        (([100], [200]), "contamination", math.nan),
    ],
)
def test_a_pair_by_hand(trains: tuple[list[int], ...], metric: str, expected: float) -> None:
    first, _ = measure_relations(units_of(*(np.array(t, np.int64) for t in trains)))
    assert getattr(first, metric) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("n_first", [3_000_000, 1_000_000])
@pytest.mark.parametrize("burst", [1, 60])
def test_close_pairs_are_the_same_however_they_are_counted(n_first: int, burst: int) -> None:
    spans = (FileSpan("a", n_first), FileSpan("b", 3_000_000 - n_first))
    joined = Timeline(RATE_HZ, spans, ((0, 3_000_000),))
    random = np.random.default_rng(4)
    first, second = (np.sort(random.integers(0, 3_000_000, 5_000)) for _ in range(2))
    second = np.sort(np.concatenate([second, *[first[:3] + 7] * burst]))
    found = compare_pair(replace(units_of(first, second), timeline=joined), first, second, 0.0015)
    lags = np.abs(second[np.newaxis, :] - first[:, np.newaxis])
    same_side = (second >= n_first)[np.newaxis, :] == (first >= n_first)[:, np.newaxis]
    close = int(np.count_nonzero((lags > 4) & (lags < 15) & same_side))
    assert found.expected == pytest.approx(len(first) * len(second) * 20 / 3_000_000)
    assert found.dip == pytest.approx(close / found.expected)


def test_another_refractory_period_asks_other_pairs() -> None:
    data = units_of(np.array([100]), np.array([118]))
    assert measure_relations(data)[0].refractory_dip == 0.0
    longer = CurationConfig(refractory_period_ms=2.0)
    assert measure_relations(data, longer)[0].refractory_dip == pytest.approx(3e6 / 30)
    shorter = CurationConfig(refractory_period_ms=0.3)
    assert math.isnan(measure_relations(data, shorter)[0].refractory_dip)


@pytest.mark.parametrize("count", [0, 1, 7, 40])
def test_the_interval_leaves_two_and_a_half_percent_on_each_side(count: int) -> None:
    low, high = violation_bounds(count)
    assert poisson.cdf(count, high) == pytest.approx(0.025)
    assert low == 0.0 if count == 0 else poisson.sf(count - 1, low) == pytest.approx(0.025)


def test_a_violation_across_a_cut_is_none() -> None:
    data = units_of(np.array([1000, 1005], np.int64))
    cut = Timeline(RATE_HZ, (FileSpan("a", 4_000_000),), ((0, 1003), (2000, 2_990_000)))
    assert measure_relations(data)[0].contamination > 0
    assert measure_relations(replace(data, timeline=cut))[0].contamination == 0.0


def test_long_trains_of_two_neurons_have_no_dip() -> None:
    random = np.random.default_rng(3)
    trains = [np.sort(random.integers(0, 3_000_000, 60_000)) for _ in range(2)]
    for relation in measure_relations(units_of(*trains)):
        assert relation.refractory_dip == pytest.approx(1.0, abs=0.05)
        assert not relation.possible_duplicate


def test_the_interval_of_a_burst_that_was_looked_at_in_part_is_wider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mixed = spikes_of_two()
    (whole,) = measure_relations(units_of(mixed))
    monkeypatch.setattr(correlograms, "_MOST_PAIRS", 300)
    (part,) = measure_relations(units_of(mixed))
    assert part.contamination == pytest.approx(whole.contamination, rel=0.4)
    assert part.contamination_high - part.contamination_low > 1.2 * (
        whole.contamination_high - whole.contamination_low
    )


def test_one_unit_and_none_are_measured() -> None:
    (alone,) = measure_relations(units_of(spikes(1)))
    assert (alone.similar_unit, alone.possible_duplicate) == ("", False)
    empty = make_data([], np.zeros((0, 4, 2)))
    assert measure_relations(empty) == ()


def test_what_is_not_measured_is_none_in_json() -> None:
    (alone,) = measure_relations(units_of(np.zeros(0, np.int64)))
    told = json.loads(json.dumps(alone.to_json(), allow_nan=False))
    assert told["contamination"] is None
    assert "unit_id" not in told
