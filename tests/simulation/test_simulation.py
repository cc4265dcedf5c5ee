"""A slice of the schedules that ``make test-simulation`` plays, and the simulator's own tests."""

from dataclasses import replace

import pytest

from spikefleet.controller.fail_points import FailPoint
from spikefleet.core.failures.codes import FailureCode
from tests.contracts.artifact_store import ArtifactStoreContract
from tests.simulation.artifacts import MemoryArtifacts
from tests.simulation.plan import RunPlan, Schedule, SortEnd, Trouble, draw
from tests.simulation.shrink import shrink
from tests.simulation.simulation import play

SLICE = 8
PER_TEST = 4


def plan(index: int = 0, *sorts: SortEnd, **more: object) -> RunPlan:
    return RunPlan(index, 0.0, "mountainsort5", "uid:1", index, sorts=sorts, **more)  # type: ignore[arg-type]


def schedule(*runs: RunPlan, troubles: tuple[Trouble, ...] = ()) -> Schedule:
    return Schedule(0, runs, troubles)


@pytest.mark.parametrize("first", range(1, 1 + SLICE * PER_TEST, PER_TEST))
def test_nothing_is_lost_in_a_slice_of_the_schedules(first: int) -> None:
    for seed in range(first, first + PER_TEST):
        played = play(draw(seed, 10))
        assert not played.broken, (
            f"python -m tests.simulation --seed {seed} --schedules 1 --runs 10"
        )


@pytest.mark.parametrize("point", FailPoint)
def test_a_controller_that_dies_at_any_place_loses_nothing(point: FailPoint) -> None:
    lost = SortEnd("says", 20.0, FailureCode.HOST_OUT_OF_MEMORY)
    held = SortEnd("says", 20.0, FailureCode.MODEL_LOADING)
    runs = (plan(0, lost), plan(1, held), replace(plan(2), sort_s=5000.0), plan(3, held))
    troubles = (
        *(Trouble(1.0, "crash", str(point), count) for count in (1, 2, 3)),
        Trouble(900.0, "cancel", run=2),
        Trouble(20_000.0, "overlooked"),  # until then held lanes are probed
    )
    played = play(schedule(*runs, troubles=troubles))
    assert not played.broken
    assert str(point) in played.points, "nobody passed there"


def test_a_seed_gives_the_same_trace_again() -> None:
    first, again = play(draw(7, 8)), play(draw(7, 8))
    assert first.trace == again.trace
    assert len(first.trace) > 100


def test_a_schedule_without_troubles_sorts_every_run_once() -> None:
    played = play(schedule(plan(0), plan(1)))
    assert not played.broken
    assert sum("sort.done" in line for line in played.trace) == 2
    assert sum(" begins," in line for line in played.trace) == 2


def test_a_schedule_that_breaks_a_rule_is_cut_to_what_breaks_it() -> None:
    whole = draw(3, 20, 10)

    def breaks(smaller: Schedule) -> bool:
        return any(run.index == 7 for run in smaller.runs) and any(
            trouble == whole.troubles[4] for trouble in smaller.troubles
        )

    small = shrink(whole, breaks)
    assert [run.index for run in small.runs] == [7]
    assert small.troubles == (whole.troubles[4],)


class TestMemoryArtifacts(ArtifactStoreContract):
    @pytest.fixture
    def store(self) -> MemoryArtifacts:
        return MemoryArtifacts()

    @pytest.fixture
    def damage(self, store: MemoryArtifacts):
        return lambda key, data: store._keys.update({key: data})
