"""Many guards, one verdict."""

from collections.abc import Sequence

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.guards.base import Reading
from spikefleet.runner.guards.loop import GuardEvent, GuardLoop


class Scripted:
    """A guard that says what it was given, one reading after the other."""

    def __init__(self, name: str, readings: Sequence[Reading], interval_s: float = 1.0) -> None:
        self.name, self.interval_s = name, interval_s
        self.thresholds = {"abort": 9.0}
        self._readings = list(readings)
        self.asked_at_s: list[float] = []

    def read(self, now_s: float) -> Reading:
        self.asked_at_s.append(now_s)
        return self._readings.pop(0) if self._readings else Reading(self.name, {"x": 0.0})


def trip(message: str) -> Failure:
    return Failure(FailureCode.IO_STALL, message)


def test_each_guard_is_asked_at_its_own_pace() -> None:
    quick, slow = Scripted("quick", [], 1.0), Scripted("slow", [], 3.0)
    loop = GuardLoop([quick, slow])
    for now_s in range(7):
        loop.poll(float(now_s))
    assert quick.asked_at_s == [0, 1, 2, 3, 4, 5, 6]
    assert slow.asked_at_s == [0, 3, 6]


def test_the_first_trip_wins_and_stays() -> None:
    first = Scripted("a", [Reading("a"), Reading("a", trip=trip("first"))])
    second = Scripted("b", [Reading("b"), Reading("b", trip=trip("second"))])
    loop = GuardLoop([first, second])
    loop.poll(0)
    assert loop.trip is None
    loop.poll(1)
    loop.poll(2)
    assert loop.trip is not None
    assert (loop.trip.message, loop.tripped_guard) == ("first", "a")


def test_peaks_are_the_largest_and_for_free_space_the_smallest() -> None:
    readings = [Reading("d", {"used": used, "free_bytes": 10 - used}) for used in (3.0, 7.0, 5.0)]
    loop = GuardLoop([Scripted("d", readings)])
    for now_s in range(3):
        loop.poll(float(now_s))
    assert loop.peaks == {"d.used": 7.0, "d.free_bytes": 3.0}
    assert loop.readings["d"].values["used"] == 5.0


def test_a_warning_that_stays_is_counted_once_in_thirty_seconds() -> None:
    loop = GuardLoop([Scripted("w", [Reading("w", warning="too warm")] * 62)])
    for now_s in range(62):
        loop.poll(float(now_s))
    assert loop.warnings == {"w": 3}


def test_what_guards_say_is_recorded_when_it_changes() -> None:
    readings = [
        Reading("d", {"x": 1.0}, warning="low"),
        Reading("d", {"x": 1.0}, warning="low"),
        Reading("d", advisory="gone"),
        Reading("d", advisory="gone"),
        Reading("d", {"x": 2.0}),
        Reading("d", {"x": 3.0}, trip=trip("empty")),
        Reading("d", {"x": 3.0}, trip=trip("empty")),
    ]
    kept: list[GuardEvent] = []
    loop = GuardLoop([Scripted("d", readings)], kept.append)
    for now_s in range(len(readings)):
        loop.poll(float(now_s))
    assert [(event.event, event.message) for event in kept] == [
        ("warn", "low"),
        ("blind", "gone"),
        ("sight", ""),
        ("abort", "empty"),
    ]
    assert kept[-1].values == {"x": 3.0}


def test_a_guard_may_change_its_pace_while_it_is_asked() -> None:
    class Hurried(Scripted):
        def read(self, now_s: float) -> Reading:
            self.interval_s = 0.5
            return super().read(now_s)

    guard = Hurried("h", [], 10.0)
    loop = GuardLoop([guard])
    assert loop.next_due_s(0.0) == 0.0
    loop.poll(0.0)
    assert loop.next_due_s(0.2) == 0.3
    loop.poll(0.5)
    assert guard.asked_at_s == [0.0, 0.5]
    assert GuardLoop([]).next_due_s(0.0) == float("inf")


def test_thresholds_of_every_guard_are_named_by_it() -> None:
    loop = GuardLoop([Scripted("a", []), Scripted("b", [])])
    assert loop.thresholds == {"a.abort": 9.0, "b.abort": 9.0}


def test_a_guard_that_was_blind_for_a_time_stays_named() -> None:
    loop = GuardLoop([Scripted("d", [Reading("d", advisory="gone"), Reading("d", {"x": 1.0})])])
    assert loop.blind == {}
    loop.poll(0.0)
    loop.poll(1.0)
    assert loop.blind == {"d": "gone"}
