"""What a round of the controller asks of its records, whatever waits and whatever has been."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.controlled import Controlled
from tests.support.counted_queries import counted_queries
from tests.support.many_runs import add_runs

from spikefleet.core.attempts import Stage
from spikefleet.core.rooms.wishes import RetryWish
from spikefleet.core.runs import RunState


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Controlled]:
    """A controller without a slot."""
    controlled = Controlled(tmp_path, cpu_slots=0)
    yield controlled
    controlled.close()


def queries_of_a_round(controlled: Controlled) -> list[str]:
    with counted_queries() as asked:
        assert not controlled.reconciler.step()
    return [statement for statement in asked if "SELECT" in statement]


def test_a_round_without_a_slot_asks_as_much_for_a_thousand_runs_as_for_none(
    full: Controlled,
) -> None:
    idle = queries_of_a_round(full)
    add_runs(full.database, 1000, RunState.QUEUED)
    assert queries_of_a_round(full) == idle
    assert len(idle) == 4  # attempts, runs that move, sorts to take over, holds


def test_runs_that_wait_for_one_sort_cost_no_more(full: Controlled) -> None:
    idle = queries_of_a_round(full)
    add_runs(full.database, 200, RunState.QUEUED, sort="the same")
    assert queries_of_a_round(full) == idle


def test_a_round_asks_no_more_after_a_long_history(full: Controlled) -> None:
    idle = queries_of_a_round(full)
    add_runs(full.database, 1000, RunState.SUCCEEDED)
    assert queries_of_a_round(full) == idle


def test_a_round_reads_only_the_runs_that_a_slot_lets_start(tmp_path: Path) -> None:
    controlled = Controlled(tmp_path, plan="wait", cpu_slots=2)  # no slot is given back meanwhile
    for name in "abcd":
        controlled.submit(name)

    def all_slots_are_taken() -> bool:
        waiting = controlled.runs.queued_sorts("kilosort4")
        return len(controlled.launcher.observe()) == 2 and len(waiting) == 2

    controlled.drive(all_slots_are_taken, timeout_s=120.0)
    with counted_queries() as asked:
        controlled.reconciler.step()
    assert not any("LIMIT" in statement for statement in asked)
    controlled.close()


def test_a_run_in_trouble_does_not_keep_the_slot_from_the_next(tmp_path: Path) -> None:
    controlled = Controlled(tmp_path, cpu_slots=1)
    (broken,) = add_runs(controlled.database, 1, RunState.QUEUED)
    with controlled.database.write() as connection:
        connection.exec_driver_sql("UPDATE run SET status = 'nonsense' WHERE run_id = ?", (broken,))
    healthy = controlled.submit("b")
    controlled.drive(lambda: controlled.is_settled(healthy))
    assert controlled.errors > 0
    controlled.close()


def test_a_sort_that_was_intended_before_its_lane_was_held_waits_for_the_release(
    full: Controlled,
) -> None:
    run_id, other = full.submit("a"), full.submit("b")
    full.drive(lambda: len(full.runs.queued_sorts("kilosort4")) == 2)
    full.runs.intend_attempt(full.runs.get_run(run_id), Stage.SORT)
    full.runs.move_run(full.runs.get_run(other), RunState.HELD, kind="run.held")
    full.cpu_slots = 2
    full.rebuild()
    full.drive_rounds(3)
    assert full.launcher.observe() == {}
    assert full.runs.get_run(run_id).progress["step"] == "lane kilosort4 is on hold"
    full.wishes.release("kilosort4")
    assert full.finish(run_id, other).state is RunState.SUCCEEDED


def test_a_run_that_is_asked_for_again_does_not_start_in_a_held_lane(full: Controlled) -> None:
    run_id = full.submit("a")
    full.drive(lambda: full.runs.queued_sorts("kilosort4"))
    queued = full.runs.get_run(run_id)
    full.runs.move_run(queued, RunState.HELD, kind="run.held")
    full.cpu_slots = 2
    full.rebuild()
    full.wishes.retry(RetryWish(run_id))
    full.drive_rounds(3)
    assert full.launcher.observe() == {}
