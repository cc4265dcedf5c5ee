"""Draws that no parameter of a sorter reaches start from the run's seed."""

from __future__ import annotations

import numpy as np
import pytest

from spikefleet.signal.sorters.stages import seeded_draws


def fail_after_a_draw() -> None:
    np.random.random()
    raise ZeroDivisionError


def test_a_generator_asked_for_without_a_seed_draws_the_same_each_time() -> None:
    with seeded_draws(7):
        first = np.random.default_rng().integers(0, 2**60, 4)
        again = np.random.default_rng(seed=None).integers(0, 2**60, 4)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, np.random.default_rng(7).integers(0, 2**60, 4))


def test_the_global_generator_repeats_too() -> None:
    drawn = []
    for _ in range(2):
        with seeded_draws(7):
            drawn.append(np.random.random(4).tolist())
    assert drawn[0] == drawn[1]


def test_a_seed_that_is_given_is_kept() -> None:
    with seeded_draws(7):
        drawn = np.random.default_rng(3).random()
    assert drawn == np.random.default_rng(3).random()


def test_afterwards_nothing_is_left_behind_even_when_the_sorter_fails() -> None:
    np.random.seed(5)
    unseeded = np.random.default_rng
    with pytest.raises(ZeroDivisionError), seeded_draws(7):
        fail_after_a_draw()
    assert np.random.default_rng is unseeded
    drawn = np.random.random()
    np.random.seed(5)
    assert drawn == np.random.random()


def test_without_a_seed_every_sort_draws_anew() -> None:
    with seeded_draws(None):
        assert np.random.default_rng().random() != np.random.default_rng().random()
