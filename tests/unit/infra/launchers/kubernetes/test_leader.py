"""One controller at a time, and none for longer than its lease, whatever the API server does."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from kubernetes import client
from tests.kubefake.cluster import NAMESPACE, KubeFake
from tests.kubefake.conftest import make_job
from tests.kubefake.faults import FaultProxy, Hang, Reset, Say, Seen, refusal
from tests.kubefake.resources import LEASES

from spikefleet.infra.launchers.kubernetes.api import ClusterApi, ClusterUnreachableError
from spikefleet.infra.launchers.kubernetes.leader import Leader, LeaderTerms

DURATION_S, DEADLINE_S, RETRY_S = 2, 1.2, 0.2


@pytest.fixture
def fake() -> Iterator[KubeFake]:
    with KubeFake() as cluster:
        yield cluster


@pytest.fixture
def proxy(fake: KubeFake) -> Iterator[FaultProxy]:
    with FaultProxy(fake.url) as made:
        yield made


def api_of(fake: KubeFake, url: str = "") -> ClusterApi:
    return ClusterApi(fake.client(url), NAMESPACE)


class Candidate:
    """A leader-to-be that notes when it lost."""

    def __init__(
        self, api: ClusterApi, holder: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.lost = threading.Event()
        self.lost_at = 0.0
        terms = LeaderTerms("controller", holder, DURATION_S, DEADLINE_S, RETRY_S)
        self.leader = Leader(api, terms, on_lost=self._lose, clock=clock)
        self.leader.start()

    def _lose(self) -> None:
        self.lost_at = time.monotonic()
        self.lost.set()


def lease(fake: KubeFake) -> client.V1LeaseSpec:
    with fake.clock.lock:
        return fake.store.get(LEASES, NAMESPACE, "controller")["spec"]


def test_first_one_leads_and_the_second_waits_until_the_lease_is_given_back(
    fake: KubeFake,
) -> None:
    first = Candidate(api_of(fake), "a")
    assert first.leader.wait(5)
    second = Candidate(api_of(fake), "b")
    assert not second.leader.wait(DURATION_S + 1)
    first.leader.close()
    began = time.monotonic()
    assert second.leader.wait(5)
    assert time.monotonic() - began < DURATION_S, "a lease given back need not run out first"
    assert (lease(fake)["holderIdentity"], lease(fake)["leaseTransitions"]) == ("b", 1)
    assert not first.lost.is_set(), "giving back is no loss"
    second.leader.close()


def test_leader_whose_api_hangs_stops_before_another_can_take_its_lease(
    fake: KubeFake, proxy: FaultProxy
) -> None:
    first = Candidate(api_of(fake, proxy.url), "a")
    assert first.leader.wait(5)
    second = Candidate(api_of(fake), "b")
    proxy.order = lambda seen: Hang()
    assert second.leader.wait(15)
    took_over_at = time.monotonic()
    assert first.lost.is_set()
    assert not first.leader.is_leading
    assert first.lost_at < took_over_at
    second.leader.close()
    proxy.heal()
    first.leader.close()
    assert lease(fake)["holderIdentity"] == "", "the one who lost took nothing back"


@pytest.mark.parametrize("trouble", ["reset", "503", "403"])
def test_leader_that_is_refused_stops_at_its_deadline_and_says_so(
    fake: KubeFake, proxy: FaultProxy, trouble: str
) -> None:
    now_s = 1000.0  # moved by hand, so that a busy machine is not taken for a late leader
    first = Candidate(api_of(fake, proxy.url), "a", lambda: now_s)
    assert first.leader.wait(30)
    faults = {
        "reset": Reset(),
        "503": refusal(503, "ServiceUnavailable"),
        "403": refusal(403, "Forbidden"),
    }
    is_refused = threading.Event()

    def refuse(seen: Seen) -> Reset | Say:
        is_refused.set()
        return faults[trouble]

    proxy.order = refuse
    now_s += DEADLINE_S - 0.01
    assert is_refused.wait(30)
    assert not first.lost.wait(3 * RETRY_S)
    assert first.leader.is_leading
    now_s += 0.02
    assert not first.leader.is_leading
    assert first.lost.wait(30)
    first.leader.close()


def test_one_who_may_not_act_makes_changes_and_deletes_nothing(fake: KubeFake) -> None:
    api = api_of(fake)
    api.may_act = lambda: False
    job = make_job()
    for write in (
        lambda: api.create_job(job),
        lambda: api.create_secret({"metadata": {"name": "hush"}}),
        lambda: api.patch_job("attempt", {}),
        lambda: api.delete_job("attempt", "uid", policy="Background"),
    ):
        with pytest.raises(ClusterUnreachableError, match="no longer the controller"):
            write()
    assert fake.surface.requests == []
    assert api.list_jobs("app=probe") == []


def test_short_trouble_costs_no_leadership(fake: KubeFake, proxy: FaultProxy) -> None:
    first = Candidate(api_of(fake, proxy.url), "a")
    assert first.leader.wait(5)
    until = time.monotonic() + 3 * RETRY_S

    def briefly(seen: Seen) -> Reset | None:
        return Reset() if time.monotonic() < until else None

    proxy.order = briefly
    assert not first.lost.wait(DEADLINE_S + 1)
    assert first.leader.is_leading
    first.leader.close()


def test_renewal_whose_answer_was_lost_is_recognised_as_its_own(
    fake: KubeFake, proxy: FaultProxy
) -> None:
    first = Candidate(api_of(fake, proxy.url), "a")
    assert first.leader.wait(5)
    lost: list[Seen] = []

    def once(seen: Seen) -> Reset | None:
        if seen.method == "PUT" and not lost:
            lost.append(seen)
            return Reset(after_bytes=1)
        return None

    proxy.order = once
    assert not first.lost.wait(DEADLINE_S + 1)
    assert lost
    assert first.leader.is_leading
    first.leader.close()


def test_times_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(ValueError, match="retry < deadline < duration"):
        LeaderTerms("controller", "a", duration_s=10, deadline_s=10.0)


def test_the_lease_goes_with_the_release(fake: KubeFake) -> None:
    core = client.CoreV1Api(fake.client())
    made = core.create_namespaced_config_map(
        NAMESPACE, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="lab-runners"))
    )
    terms = LeaderTerms("controller", "a", DURATION_S, DEADLINE_S, RETRY_S, owner="lab-runners")
    for _ in range(2):  # the second takes one that is there
        leader = Leader(api_of(fake), terms, on_lost=lambda: None)
        leader.start()
        assert leader.wait(5)
        with fake.clock.lock:
            found = fake.store.get(LEASES, NAMESPACE, "controller")["metadata"]
        (owner,) = found["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("ConfigMap", "lab-runners")
        assert owner["uid"] == made.metadata.uid
        leader.close()
