"""How alike templates are, against every lag of every pair."""

import math

import numpy as np
import pytest

from spikefleet.signal.units.template_likeness import MOST_LAG, TemplateLikeness


def plainly(first: np.ndarray, second: np.ndarray) -> dict[int, float]:
    """The cosine at every shift of the second's spikes, sample by sample."""
    n_samples, norm = len(first), np.linalg.norm(first) * np.linalg.norm(second)
    found = {}
    for shift in range(-MOST_LAG, MOST_LAG + 1):
        pairs = [(k, k + shift) for k in range(n_samples) if 0 <= k + shift < n_samples]
        found[shift] = sum(float(first[a] @ second[b]) for a, b in pairs) / norm
    return found


@pytest.fixture(params=["one by one", "all at once"])
def make(request):
    """Likeness that looks at pairs in one of two ways, with the same answers."""

    def likeness(templates: np.ndarray) -> TemplateLikeness:
        made = TemplateLikeness(templates)
        if request.param == "all at once":
            made.compare_all()
        return made

    return likeness


@pytest.fixture
def templates() -> np.ndarray:
    return np.random.default_rng(4).normal(size=(30, 25, 3)).cumsum(axis=1)


def test_the_best_lag_of_every_pair_is_found_and_never_above_its_bound(make, templates):
    likeness = make(templates)
    for unit in range(4):
        others = np.arange(4, 12)
        for other, cosine, shift in zip(others, *likeness.compare(unit, others), strict=True):
            every = plainly(templates[unit], templates[other])
            assert cosine == pytest.approx(max(every.values()), abs=1e-5)
            assert every[int(shift)] == pytest.approx(cosine, abs=1e-5)
            assert cosine <= likeness.bounds[unit, other] + 1e-5


def test_the_nearest_is_that_of_looking_at_all(make, templates):
    likeness = make(templates)
    for unit in range(30):
        others = np.array([other for other in range(30) if other != unit])
        cosines, _ = likeness.compare(unit, others)
        chosen, most = likeness.nearest(unit, others)
        assert most == pytest.approx(cosines.max(), abs=1e-6)
        assert cosines[others == chosen][0] == pytest.approx(most, abs=1e-6)


def test_what_has_no_height_or_nobody_near_is_like_none(make, templates):
    templates[1] = 0.0
    likeness = make(templates)
    nobody = np.zeros(0, dtype=np.int64)
    for unit, others in ((1, np.array([0, 2])), (0, np.array([1])), (0, nobody)):
        chosen, cosine = likeness.nearest(unit, others)
        assert chosen == -1
        assert math.isnan(cosine)


def test_of_equally_alike_units_the_first_and_of_equal_lags_the_shortest_is_taken(make):
    same = np.zeros((3, 5, 1))
    same[:, 2] = 1.0
    likeness = make(same)
    assert likeness.nearest(2, np.array([0, 1])) == (0, pytest.approx(1.0))
    flat = make(np.ones((2, 1, 1)))
    assert flat.compare(0, np.array([1]))[1].tolist() == [0]
