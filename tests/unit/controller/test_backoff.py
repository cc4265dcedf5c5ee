"""A run in trouble is looked at ever less often, and at once when the trouble is over."""

from datetime import UTC, datetime, timedelta

from spikefleet.controller.backoff import Backoff


class HandClock:
    """Time that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def waits_s(backoff: Backoff, clock: HandClock) -> float:
    """How long until the run is due again."""
    start = clock.now
    while not backoff.is_due("run-1"):
        clock.now += timedelta(seconds=0.5)
    return (clock.now - start).total_seconds()


def test_the_wait_doubles_up_to_half_a_minute_and_starts_over() -> None:
    clock = HandClock()
    backoff = Backoff(clock)
    found = []
    for _ in range(9):
        backoff.failed("run-1")
        found.append(waits_s(backoff, clock))
    assert found == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert backoff.is_due("run-2")
    backoff.passed("run-1")
    backoff.failed("run-1")
    assert waits_s(backoff, clock) == 0.5
