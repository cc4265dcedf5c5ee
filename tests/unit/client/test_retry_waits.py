"""RetryWaits: waits grow, progress restores it, and it ends."""

import time

import pytest

from spikefleet.client.retry_waits import RetryWaits
from spikefleet.infra.rpc.errors import ServiceUnreachable

AWAY = ServiceUnreachable("UNREACHABLE", "nobody there")


def _wait_s(patience: RetryWaits, error: ServiceUnreachable = AWAY) -> float:
    began_s = time.monotonic()
    patience.wait(error)
    return time.monotonic() - began_s


def test_waits_grow_and_start_over_after_progress() -> None:
    told_s: list[float] = []  # what it means to wait: a busy machine lets it wait longer
    patience = RetryWaits(
        total_s=60, first_wait_s=0.02, on_wait=lambda error, wait_s: told_s.append(wait_s)
    )
    for _ in range(3):
        patience.wait(AWAY)
    assert told_s == sorted(told_s)
    assert told_s[2] > 2 * told_s[0]
    patience.restore()
    patience.wait(AWAY)
    assert told_s[3] == pytest.approx(0.02, rel=0.2)


def test_who_watches_hears_of_every_wait_before_it_begins() -> None:
    heard = []
    patience = RetryWaits(
        total_s=10, first_wait_s=0.02, on_wait=lambda error, wait_s: heard.append((error, wait_s))
    )
    waited_s = _wait_s(patience)
    ((error, told_s),) = heard
    assert error is AWAY
    assert 0.016 <= told_s <= waited_s


def test_it_ends_with_the_error_it_was_spent_on() -> None:
    patience = RetryWaits(total_s=0.1, first_wait_s=0.04)
    patience.wait(AWAY)
    time.sleep(0.1)
    with pytest.raises(ServiceUnreachable, match="nobody there"):
        patience.wait(AWAY)


def test_what_the_service_asks_for_is_respected() -> None:
    asked = ServiceUnreachable("SERVICE_DRAINING", "bye", details={"retry_after_s": 0.1})
    assert _wait_s(RetryWaits(total_s=10, first_wait_s=0.001), asked) >= 0.07
