"""A start that the cluster does not allow now is tried seldom, costs nothing and says why."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from tests.support.attempt_documents import Documents
from tests.support.runner_profiles import CREATED, attempt, live, runners
from tests.support.scripted_api import JOBS, OWNER, PODS, SECRETS, Script, listing, scripted_api
from tests.support.scripted_api import status as refusal

from spikefleet.core.attempts import WaitsFor
from spikefleet.infra.launchers.base import Slots, StartRefusedError
from spikefleet.infra.launchers.kubernetes.launcher import KubernetesLauncher
from spikefleet.infra.launchers.kubernetes.opening import open_kubernetes

RIGHT = 'jobs.batch is forbidden: User "lab-controller" cannot create resource "jobs"'
QUOTA = "jobs.batch is forbidden: exceeded quota: lab, requested: count/jobs.batch=1"


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = CREATED

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by_s: float) -> None:
        self.now += timedelta(seconds=by_s)


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted_api() as made:
        made.on("GET", JOBS, listing())
        made.on("GET", PODS, listing())
        made.on("GET", OWNER, (200, {"metadata": {"uid": "owner-uid"}}))
        made.on("POST", SECRETS, (201, {}))
        made.on("PATCH", f"{JOBS}/{attempt().name}", (200, {}))
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def launcher(script: Script, clock: Clock) -> KubernetesLauncher:
    api = open_kubernetes(runners(), Documents(), url=script.url)._api
    return KubernetesLauncher(api, runners(), Documents(), clock=clock)


@pytest.mark.parametrize(
    ("said", "words", "kind"),
    [
        (RIGHT, "the cluster does not let it be started: jobs.batch is forbidden", "admission"),
        (QUOTA, "waits for room in the namespace's quota: lab, requested", "quota"),
    ],
    ids=["right", "quota"],
)
def test_who_waits_is_told_why(
    launcher: KubernetesLauncher, script: Script, said: str, words: str, kind: str
) -> None:
    script.on("POST", JOBS, (403, refusal(403, "Forbidden", said)))
    with pytest.raises(StartRefusedError, match=words) as caught:
        launcher.start(attempt())
    assert caught.value.waits_for is WaitsFor(kind)


def test_a_thousand_that_wait_ask_no_more_than_one(
    launcher: KubernetesLauncher, script: Script, clock: Clock
) -> None:
    script.on("POST", JOBS, (403, refusal(403, "Forbidden", RIGHT)))
    for _second in range(600):
        for _waiting in range(3):
            with pytest.raises(StartRefusedError, match="is forbidden"):
                launcher.start(attempt())
        assert launcher.free_slots() == Slots(0, 0)
        clock.advance(1)
    assert len(script.asked("POST", JOBS)) <= 14


def test_once_it_is_allowed_everything_goes_its_way_again(
    launcher: KubernetesLauncher, script: Script, clock: Clock
) -> None:
    script.on(
        "POST",
        JOBS,
        (403, refusal(403, "Forbidden", RIGHT)),
        lambda asked: (201, live(asked.body)),
    )
    with pytest.raises(StartRefusedError):
        launcher.start(attempt())
    clock.advance(6)
    assert launcher.free_slots() == Slots(50, 50)
    launcher.start(attempt())
    assert launcher.free_slots() == Slots(50, 50)
    assert attempt().name in launcher._attempts()
