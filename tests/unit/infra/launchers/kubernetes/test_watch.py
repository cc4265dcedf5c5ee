"""A watch wakes the loop, and asks little of a server that is in trouble."""

import threading
import time
from collections.abc import Iterator

import pytest
from tests.kubefake.cluster import NAMESPACE, KubeFake
from tests.kubefake.conftest import make_job
from tests.kubefake.faults import (
    Fault,
    FaultProxy,
    Half,
    Reset,
    Say,
    Seen,
    Silent,
    Twisted,
    refusal,
)
from tests.kubefake.resources import JOBS

from spikefleet.infra.launchers.kubernetes.api import ClusterApi
from spikefleet.infra.launchers.kubernetes.watch import ClusterWatch, WatchTerms

# A tenth of the real times: 30 s of trouble pass in 3.
FAST = WatchTerms(24, 1.0, 0.1, 3.0, 3.0, 0.05)


@pytest.fixture
def fake() -> Iterator[KubeFake]:
    with KubeFake() as cluster:
        yield cluster


@pytest.fixture
def proxy(fake: KubeFake) -> Iterator[FaultProxy]:
    with FaultProxy(fake.url) as made:
        yield made


class Bell:
    """Counts how often it was rung."""

    def __init__(self) -> None:
        self.count = 0
        self.rung = threading.Event()

    def __call__(self) -> None:
        self.count += 1
        self.rung.set()

    def wait(self, timeout_s: float) -> bool:
        found = self.rung.wait(timeout_s)
        self.rung.clear()
        return found


def watching(fake: KubeFake, url: str, bell: Bell) -> ClusterWatch:
    watch = ClusterWatch(ClusterApi(fake.client(url), NAMESPACE), "app=probe", bell, FAST)
    watch.start()
    return watch


def wait_for_streams(proxy: FaultProxy, count: int) -> None:
    until = time.monotonic() + 10
    while sum(one.is_watch for one in proxy.seen) < count:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_change_rings_the_bell_at_once(fake: KubeFake, proxy: FaultProxy) -> None:
    bell = Bell()
    watch = watching(fake, proxy.url, bell)
    wait_for_streams(proxy, 2)
    time.sleep(0.3)
    bell.rung.clear()
    fake.put(JOBS, make_job())
    assert bell.wait(2)
    watch.close()


def test_many_changes_ring_seldom(fake: KubeFake, proxy: FaultProxy) -> None:
    bell = Bell()
    watch = watching(fake, proxy.url, bell)
    wait_for_streams(proxy, 2)
    time.sleep(0.3)
    before = bell.count
    began = time.monotonic()
    for number in range(50):
        fake.put(JOBS, make_job(f"j{number}"))
    time.sleep(0.5)
    took_s = time.monotonic() - began
    assert 1 <= bell.count - before <= took_s / FAST.quiet_s + 1
    watch.close()


EMPTY = Say(200, b"", {"Content-Type": "application/json"})
HALF = Say(200, b'{"type": "ADD', {"Content-Type": "application/json"})


@pytest.mark.parametrize(
    "fault",
    [refusal(403, "Forbidden"), Reset(), EMPTY, HALF, refusal(429, "TooManyRequests"), Half()],
    ids=["403", "reset", "empty 200", "half a line", "429", "half a list"],
)
def test_server_in_trouble_is_asked_less_than_once_a_second_after_half_a_minute(
    fake: KubeFake, proxy: FaultProxy, fault: Fault
) -> None:
    proxy.order = lambda seen: fault
    watch = watching(fake, proxy.url, Bell())
    time.sleep(3.0)  # thirty seconds, in tenths
    began = time.monotonic()
    time.sleep(3.0)
    took_s = 10 * (time.monotonic() - began)
    assert proxy.count_since(began) <= took_s
    watch.close()


def test_empty_streams_after_good_lists_are_asked_for_just_as_seldom(
    fake: KubeFake, proxy: FaultProxy
) -> None:
    proxy.order = lambda seen: EMPTY if seen.is_watch else None
    watch = watching(fake, proxy.url, Bell())
    time.sleep(3.0)
    began = time.monotonic()
    time.sleep(3.0)
    assert proxy.count_since(began) <= 10 * (time.monotonic() - began)
    watch.close()


def test_stream_that_falls_silent_is_left_and_opened_anew(
    fake: KubeFake, proxy: FaultProxy
) -> None:
    proxy.order = lambda seen: Silent() if seen.is_watch else None
    watch = watching(fake, proxy.url, Bell())
    wait_for_streams(proxy, 2)
    began = time.monotonic()
    proxy.order = lambda seen: None
    wait_for_streams(proxy, 4)
    # 75 s of silence and the first pause, in tenths and with the proxy's own time: 80 s at most.
    assert time.monotonic() - began <= FAST.silent_s + 0.5
    watch.close()


def test_forgotten_version_leads_to_a_fresh_list_and_a_ring(
    fake: KubeFake, proxy: FaultProxy
) -> None:
    bell = Bell()
    watch = watching(fake, proxy.url, bell)
    wait_for_streams(proxy, 2)
    time.sleep(0.3)
    bell.rung.clear()
    fake.put(JOBS, make_job("before"))
    fake.restart_server()
    wait_for_streams(proxy, 4)
    assert bell.wait(5)
    bell.rung.clear()
    fake.put(JOBS, make_job("after"))
    assert bell.wait(5)
    watch.close()


def test_events_twice_and_in_the_wrong_order_only_ring(fake: KubeFake, proxy: FaultProxy) -> None:
    def twist(seen: Seen) -> Twisted | None:
        return Twisted() if seen.is_watch else None

    proxy.order = twist
    bell = Bell()
    watch = watching(fake, proxy.url, bell)
    wait_for_streams(proxy, 2)
    time.sleep(0.3)
    bell.rung.clear()
    for name in ("one", "two"):
        fake.put(JOBS, make_job(name))
    assert bell.wait(5)
    watch.close()
