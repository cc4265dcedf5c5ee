"""A heartbeat is believed when it is this attempt's and newer than what was reported."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.runs import make_run

from spikefleet.controller.heartbeats import newer_progress, reported_progress, waiting_progress
from spikefleet.core.attempts import AttemptState, Stage, WaitsFor
from spikefleet.core.runs import Attempt
from spikefleet.infra.launchers.base import Observation, Phase
from spikefleet.infra.rpc.convert.runs import to_progress

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ATTEMPT = Attempt("attempt-1", "run-1", Stage.SORT, 1, "s", AttemptState.RUNNING, {}, NOW)
SAID = {"step": "detect", "fraction": 0.4, "spikes": None, "elapsed_s": 9.0, "memory_bytes": 7.0}


def heartbeat(**changes: Any) -> dict[str, Any]:
    return {"attempt_id": "attempt-1", "at": NOW.timestamp(), "progress": SAID, **changes}


def test_a_first_word_is_kept_under_the_names_the_wire_knows() -> None:
    found = newer_progress(make_run(), ATTEMPT, heartbeat())
    assert found is not None
    message = to_progress(found)
    assert (message.step, message.fraction, message.spike_count) == ("detect", 0.4, -1)
    assert message.update_time.ToDatetime(UTC) == NOW


@pytest.mark.parametrize(("age_s", "is_kept"), [(-60, False), (0, False), (4, False), (6, True)])
def test_reports_that_still_arrive_are_not_overwritten(age_s: float, is_kept: bool) -> None:
    stored = (NOW - timedelta(seconds=age_s)).isoformat()
    run = make_run(progress={"step": "load", "updated_at": stored})
    assert (newer_progress(run, ATTEMPT, heartbeat()) is not None) is is_kept


@pytest.mark.parametrize(
    "broken",
    [
        None,
        {},
        heartbeat(attempt_id="attempt-2"),
        heartbeat(at=None),
        heartbeat(progress="detect"),
        heartbeat(at=1e30),
        heartbeat(at=float("nan")),
        heartbeat(at=True),
        heartbeat(at=(datetime.now(UTC) + timedelta(days=1)).timestamp()),
    ],
)
def test_a_damaged_or_foreign_heartbeat_says_nothing(broken: dict[str, Any] | None) -> None:
    assert newer_progress(make_run(), ATTEMPT, broken) is None


@pytest.mark.parametrize("value", [1e30, float("inf"), float("nan"), -1, "many", [1], True])
def test_no_word_of_a_pod_is_kept_that_the_wire_cannot_carry(value: Any) -> None:
    said = dict.fromkeys(("step", "fraction", "spikes", "memory_bytes"), value)
    found = newer_progress(make_run(), ATTEMPT, heartbeat(progress=said))
    assert found is not None
    message = to_progress(found)
    assert (message.fraction, message.spike_count, message.memory_bytes) == (-1.0, -1, -1)
    reported = {**dict.fromkeys(("step", "fraction", "spike_count", "eta_s"), value)}
    assert reported_progress(reported, NOW).keys() <= {"step"}


def test_a_report_is_kept_and_is_not_of_a_later_time_than_ours() -> None:
    later = (NOW + timedelta(days=1)).isoformat()
    told = {"step": "sort", "fraction": 0.5, "spike_count": 7, "eta_s": 9.0, "updated_at": later}
    assert reported_progress(told, NOW) == {**told, "updated_at": NOW.isoformat()}


def test_a_run_whose_stored_progress_was_spoiled_before_can_still_be_shown() -> None:
    spoiled = {"step": 7, "fraction": "half", "spike_count": 1e30, "memory_bytes": [1]}
    message = to_progress(spoiled)
    assert (message.fraction, message.spike_count, message.memory_bytes) == (-1.0, -1, -1)


def waits(words: str, kind: WaitsFor | None) -> Observation:
    return Observation("a", Phase.PENDING, waiting=words, waits_for=kind)


def test_what_an_attempt_waits_for_stands_in_the_place_of_its_step() -> None:
    words = "waits for a node with room for it: 1 Insufficient nvidia.com/gpu"
    found = waiting_progress(make_run(), waits(words, WaitsFor.NODE), NOW)
    assert found is not None
    message = to_progress(found)
    assert (message.step, message.fraction, message.spike_count) == (words, -1.0, -1)
    assert found["waits_for"] == "node"
    assert waiting_progress(make_run(progress=found), waits(words, WaitsFor.NODE), NOW) is None


def test_an_attempt_that_waited_and_has_begun_is_told_once() -> None:
    begun = Observation("a", Phase.RUNNING)
    assert waiting_progress(make_run(), begun, NOW) is None
    waiting = waiting_progress(make_run(), waits("waits for its image", WaitsFor.IMAGE), NOW)
    found = waiting_progress(make_run(progress=waiting), begun, NOW)
    assert found is not None
    assert (found["step"], found["waits_for"]) == ("begins", "")
    assert waiting_progress(make_run(progress=found), begun, NOW) is None
