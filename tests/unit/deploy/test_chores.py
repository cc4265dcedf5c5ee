"""Chores are done now and then, and failing ones not more often."""

import pytest

from spikefleet.deploy.chores import Chore


def test_a_chore_is_done_at_most_every_so_often() -> None:
    now_s, done = [0.0], []
    chore = Chore(lambda: done.append(now_s[0]), every_s=60.0, clock=lambda: now_s[0])
    for now_s[0] in (0.0, 59.0, 60.0, 61.0, 119.0, 500.0):
        chore()
    assert done == [60.0, 500.0]


def test_a_chore_that_fails_waits_like_any_other() -> None:
    now_s = [0.0]
    chore = Chore(lambda: 1 / 0, every_s=60.0, clock=lambda: now_s[0])
    now_s[0] = 60.0
    with pytest.raises(ZeroDivisionError):
        chore()
    chore()
