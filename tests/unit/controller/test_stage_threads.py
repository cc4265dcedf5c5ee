"""Calls to rooms: made once, kept until recorded, given up before they begin."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from tests.support.attempts import wait_for
from tests.support.runs import make_run

from spikefleet.controller.stage_threads import StageResult, StageThreads
from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.runs import Attempt, Run

RUN = make_run()


def attempt(number: int = 1) -> Attempt:
    now = datetime.now(UTC)
    name = f"s-1-curate-{number}"
    state = AttemptState.INTENDED
    return Attempt(f"attempt-{number}", RUN.run_id, Stage.CURATE, number, name, state, {}, now)


class Room:
    """Counts its calls; answers once it may."""

    def __init__(self) -> None:
        self.called: list[int] = []
        self.may_answer = threading.Event()

    def __call__(self, run: Run, asked: Attempt) -> StageResult:
        self.called.append(asked.number)
        self.may_answer.wait(20)
        return StageResult({"number": asked.number})


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    yield made
    made.may_answer.set()


def test_a_call_is_made_once_and_its_result_stays_until_it_is_recorded(room: Room) -> None:
    woken = threading.Event()
    calls = StageThreads(room, wake=woken.set)
    assert calls.poll(RUN, attempt()) is None
    assert calls.poll(RUN, attempt()) is None
    room.may_answer.set()
    assert woken.wait(5)
    assert calls.poll(RUN, attempt()) == calls.poll(RUN, attempt()) == StageResult({"number": 1})
    assert room.called == [1]
    calls.forget("attempt-1")
    wait_for(lambda: calls.poll(RUN, attempt()))
    assert room.called == [1, 1]
    calls.close()


def test_a_call_that_raises_is_a_failure(room: Room) -> None:
    def broken(run: Run, asked: Attempt) -> StageResult:
        raise ValueError("no such thing")

    calls = StageThreads(broken, wake=lambda: None)
    wait_for(lambda: calls.poll(RUN, attempt()))
    result = calls.poll(RUN, attempt())
    assert result is not None
    assert result.failure is not None
    assert result.failure.code is FailureCode.UNCLASSIFIED
    assert "ValueError: no such thing" in result.failure.message
    calls.close()


def test_a_call_under_way_is_waited_for_and_one_that_has_not_begun_is_dropped(room: Room) -> None:
    calls = StageThreads(room, wake=lambda: None, pool=ThreadPoolExecutor(1))
    calls.poll(RUN, attempt(1))
    wait_for(lambda: room.called)
    calls.poll(RUN, attempt(2))
    assert calls.give_up("attempt-2") is True
    assert calls.give_up("attempt-1") is False
    room.may_answer.set()
    wait_for(lambda: calls.give_up("attempt-1"))
    assert room.called == [1]
    assert calls.give_up("attempt-3") is True
    calls.close()
