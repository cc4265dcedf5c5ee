"""Makes a schedule that breaks a rule smaller, as long as it breaks one still."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from tests.simulation.plan import Schedule

T = TypeVar("T")


def shrink(schedule: Schedule, breaks: Callable[[Schedule], bool], most: int = 200) -> Schedule:
    """Return a part of the schedule that breaks a rule; ``most`` tries are made.

    Troubles are left out first, then runs, in halves, quarters, and one by one.
    """
    left = most

    def tried(smaller: Schedule) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and breaks(smaller)

    before = None
    while before != schedule and left > 0:
        before = schedule
        runs = schedule.runs
        troubles = _fewer(schedule.troubles, lambda t: tried(schedule.cut(runs, tuple(t))))  # noqa: B023
        schedule = schedule.cut(runs, tuple(troubles))
        kept = schedule
        fewer = _fewer(kept.runs, lambda r: tried(kept.cut(tuple(r), kept.troubles)))  # noqa: B023
        schedule = kept.cut(tuple(fewer), kept.troubles)
    return schedule


def _fewer(things: Sequence[T], still: Callable[[Sequence[T]], bool]) -> Sequence[T]:
    size = len(things)
    while size >= 1 and things:
        at = 0
        while at < len(things):
            without = [*things[:at], *things[at + size :]]
            if still(without):
                things = without
            else:
                at += size
        size //= 2
    return things
