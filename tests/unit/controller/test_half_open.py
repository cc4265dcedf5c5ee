"""A lane on hold is tried with one of its runs, and opens when that one gets through."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.controlled import Controlled

from spikefleet.core.attempts import Stage
from spikefleet.core.runs import RunState

HOUR = 3600

Make = Callable[[str], Controlled]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Controlled] = []

    def start(plan: str) -> Controlled:
        made.append(Controlled(tmp_path, plan))
        return made[-1]

    yield start
    for each in made:
        each.close()


def held_lane(made: Controlled) -> tuple[str, str, str]:
    """A lane that two runs wait in, and a run of another backend that is held for itself."""
    first, other = made.submit("a"), made.submit("c", preset="lupin")
    made.finish(first, other)
    second = made.submit("b")
    made.finish(second)
    assert {hold.lane for hold in made.runs.holds()} == {"kilosort4", "lupin"}
    return first, second, other


def sorts_of(made: Controlled, run_id: str) -> int:
    return sum(attempt.stage is Stage.SORT for attempt in made.runs.attempts_of(run_id))


def later(made: Controlled, seconds: float) -> None:
    """Some rounds at a later time, until what they began has settled."""
    made.clock.skip(seconds)
    made.drive_rounds(3)
    made.drive(lambda: not made.runs.live_attempts() and not made.step())


def test_before_an_hour_nobody_is_tried_and_then_one_run_of_each_lane_is(make: Make) -> None:
    made = make("fail:model_loading")
    first, second, other = held_lane(made)
    later(made, HOUR / 2)
    assert [sorts_of(made, run) for run in (first, second, other)] == [1, 0, 1]
    later(made, HOUR / 2 + 60)
    assert [sorts_of(made, run) for run in (first, second, other)] == [2, 0, 2]
    assert all(made.runs.get_run(run).state is RunState.HELD for run in (first, second, other))


def test_a_probe_that_fails_is_held_again_and_the_next_one_waits_longer(make: Make) -> None:
    made = make("fail:model_loading")
    first, second, _ = held_lane(made)
    for skipped, tries in ((HOUR + 60, 2), (HOUR + 60, 2), (HOUR, 3), (3 * HOUR, 3), (HOUR, 4)):
        later(made, skipped)
        later(made, 20)
        assert sorts_of(made, first) == tries
    assert sorts_of(made, second) == 0


def test_a_probe_that_gets_through_opens_its_lane_and_no_other(make: Make) -> None:
    made = make("fail:model_loading")
    first, second, other = held_lane(made)
    made.plan = "succeed"
    made.clock.skip(HOUR + 60)
    made.drive_rounds(1)
    assert made.runs.get_run(first).state is not RunState.HELD
    assert made.runs.get_run(second).state is RunState.HELD, "one run is tried, not all"

    def all_done() -> bool:
        made.clock.skip(11)
        return all(made.runs.get_run(r).state is RunState.SUCCEEDED for r in (first, second, other))

    made.drive(all_done)
    assert made.runs.holds() == []
    kinds = [event.kind for event in made.runs.events(second)]
    assert "hold.released" in kinds
    assert "hold.probed" not in kinds
    assert "hold.probed" in [event.kind for event in made.runs.events(first)]


def test_a_run_that_is_held_for_its_own_size_or_parameters_is_left_to_a_person(make: Make) -> None:
    made = make("fail:model_loading")
    own = made.submit("a", sorter_params={"batch_size": 30000})
    made.finish(own)
    (hold,) = made.runs.holds()
    assert "/" in hold.lane
    later(made, 100 * HOUR)
    assert sorts_of(made, own) == 1
