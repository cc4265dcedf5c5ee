"""Two sortings compared, by hand."""

import json
import math

import numpy as np
import pytest

from spikefleet.signal.units.agreement import SortingAgreement, compare_sortings

RATE_HZ = 10_000.0


def train(seed: int, n: int = 300) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).choice(np.arange(0, 1_000_000, 50), n, False))


def compare(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> SortingAgreement:
    return compare_sortings(first, second, RATE_HZ)


def test_the_same_units_under_other_names_agree_wholly() -> None:
    a, b = train(1), train(2)
    found = compare({"7": b + 2, "3": a}, {"a": a, "b": b})
    assert [(u.second, u.first, u.agreement) for u in found.units] == [
        ("a", "3", 1.0),
        ("b", "7", 1.0),
    ]
    assert found.mean_agreement == 1.0
    assert np.allclose(found.matrix, [[0.0, 1.0], [1.0, 0.0]], atol=0.02)  # chance is not quite 0


def test_half_of_the_spikes_is_half_the_recall_and_whole_precision() -> None:
    a = train(1)
    (unit,) = compare({"x": a[::2]}, {"a": a}).units
    assert (unit.agreement, unit.precision, unit.recall) == pytest.approx((0.5, 1.0, 0.5))
    assert (unit.first_spikes, unit.second_spikes) == (150, 300)


def test_a_unit_that_was_split_is_matched_with_its_larger_part() -> None:
    a = train(1)
    found = compare({"small": a[:60], "large": a[60:]}, {"a": a})
    assert [(u.second, u.first) for u in found.units] == [("a", "large"), (None, "small")]
    assert found.units[0].recall == pytest.approx(0.8)
    assert found.matrix[0][0] == pytest.approx(0.2)


def test_what_only_one_side_has_is_listed_without_a_match() -> None:
    found = compare({"x": train(1)}, {"a": train(2)})
    assert [(u.second, u.first, u.agreement) for u in found.units] == [
        ("a", None, 0.0),
        (None, "x", 0.0),
    ]
    assert found.mean_agreement == 0.0


def test_spikes_farther_apart_than_asked_are_not_one() -> None:
    a = train(1)
    assert compare_sortings({"x": a + 6}, {"a": a}, RATE_HZ, delta_ms=0.4).mean_agreement == 0.0
    assert compare_sortings({"x": a + 6}, {"a": a}, RATE_HZ, delta_ms=1.0).mean_agreement == 1.0


@pytest.mark.parametrize("first", [{}, {"x": np.zeros(0, np.int64)}])
def test_a_side_without_spikes_matches_nothing(first: dict[str, np.ndarray]) -> None:
    found = compare(first, {"a": train(1)})
    assert found.mean_agreement == 0.0
    assert np.shape(found.matrix) == (len(first), 1) or not first


def test_nothing_on_both_sides_is_told_as_such() -> None:
    found = compare({}, {})
    assert math.isnan(found.mean_agreement)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["mean_agreement"] is None
