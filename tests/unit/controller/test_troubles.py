"""A run in trouble is looked at ever less often, and at once when the trouble is over."""

from datetime import UTC, datetime, timedelta

from spikefleet.controller.troubles import Troubles


class HandClock:
    """Time that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def waits_s(troubles: Troubles, clock: HandClock) -> float:
    """How long until the run is due again."""
    start = clock.now
    while not troubles.is_due("run-1"):
        clock.now += timedelta(seconds=0.5)
    return (clock.now - start).total_seconds()


def test_the_wait_doubles_up_to_half_a_minute_and_starts_over() -> None:
    clock = HandClock()
    troubles = Troubles(clock)
    found = []
    for _ in range(9):
        troubles.failed("run-1")
        found.append(waits_s(troubles, clock))
    assert found == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert troubles.is_due("run-2")
    troubles.passed("run-1")
    troubles.failed("run-1")
    assert waits_s(troubles, clock) == 0.5
