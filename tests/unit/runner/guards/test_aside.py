"""A signal that never answers blinds one guard, not the loop."""

import threading
import time

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.guards.base import Reading
from spikefleet.runner.guards.aside import GuardAside


class DeadMount:
    """A guard whose signal answers only once the mount is back."""

    name, interval_s, thresholds = "disk", 10.0, {"abort": 1.0}

    def __init__(self) -> None:
        self.is_back = threading.Event()
        self.reads = 0

    def read(self, now_s: float) -> Reading:
        self.reads += 1
        self.is_back.wait(20)
        return Reading(self.name, {"free_bytes": 0.0}, trip=Failure(FailureCode.IO_STALL, "full"))


def test_a_blocked_guard_answers_in_time_that_it_cannot_see() -> None:
    mount = DeadMount()
    guard = GuardAside(mount, patience_s=0.05)
    started_s = time.monotonic()
    readings = [guard.read(float(number)) for number in range(3)]
    assert time.monotonic() - started_s < 2
    assert [reading.values for reading in readings] == [{}] * 3
    assert {reading.advisory for reading in readings} == {"its signal does not answer"}
    assert mount.reads == 1, "one thread waits, not one more at each reading"
    mount.is_back.set()
    late = GuardAside.read(guard, 3.0)
    assert late.trip is not None
    assert guard.read(4.0).values == {"free_bytes": 0.0}


def test_a_guard_that_answers_is_passed_through() -> None:
    mount = DeadMount()
    mount.is_back.set()
    guard = GuardAside(mount)
    assert guard.read(0.0).values == {"free_bytes": 0.0}
    assert (guard.name, guard.interval_s, guard.thresholds) == ("disk", 10.0, {"abort": 1.0})
    guard.interval_s = 1.0
    assert mount.interval_s == 1.0
