"""What is known of an attempt, step by step, and the outcome made of it."""

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.guards.base import Reading
from spikefleet.runner.evidence import ChildResult
from spikefleet.runner.guards.loop import GuardLoop
from spikefleet.runner.known import Known


class Disk:
    """Always the same reading."""

    def __init__(self) -> None:
        self.name, self.interval_s = "disk", 0.0
        self.thresholds = {"abort_free_bytes": 5.0}

    def read(self, now_s: float) -> Reading:
        return Reading("disk", {"free_bytes": 9.0})


def test_a_step_notes_the_time_of_the_one_before() -> None:
    known = Known("attempt-1").entering("stage_in").entering("sort")
    assert known.stage == "sort"
    assert list(known.timings_s) == ["parent.start", "parent.stage_in"]
    assert sum(known.timings_s.values()) <= known.elapsed_s


def test_a_failure_belongs_to_the_step_it_came_in_unless_it_names_one() -> None:
    known = Known("attempt-1", node={"facts": {}}).entering("upload")
    ours = known.failed(Failure(FailureCode.DISK_EXHAUSTION, "Full."))
    assert ours.failure is not None
    assert (ours.attempt_id, ours.exit_code, ours.failure.stage) == ("attempt-1", 107, "upload")
    assert ours.node == {"facts": {}}
    childs = known.failed(Failure(FailureCode.SORTER_CRASH, "It broke.", stage="sort"))
    assert childs.failure is not None
    assert childs.failure.stage == "sort"


def test_an_outcome_tells_what_the_guards_of_the_last_child_saw() -> None:
    guards = GuardLoop([Disk()], lambda _event: None)
    guards.poll(0.0)
    outcome = Known("attempt-1", guards=guards).succeeded(
        ChildResult(n_units=3, timings_s={"sort": 1.0}), {"sorting": "runs/r/attempts/sort-1"}
    )
    assert (outcome.exit_code, outcome.n_units, outcome.timings_s) == (0, 3, {"sort": 1.0})
    assert outcome.peaks == {"disk.free_bytes": 9.0}
    assert outcome.thresholds == {"disk.abort_free_bytes": 5.0}
