"""One Job for every attempt, wherever a start is cut short: any request may fail, in any way."""

import base64
import itertools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubernetes import client
from tests.kubefake.cluster import NAMESPACE, KubeFake
from tests.kubefake.resources import JOBS, SECRETS
from tests.support.attempt_documents import Documents
from tests.support.runner_profiles import attempt, runners

from spikefleet.core.attempts import AttemptSpec
from spikefleet.infra.launchers.base import LauncherUnreachableError
from spikefleet.infra.launchers.kubernetes.api import ClusterApi, ClusterUnreachableError
from spikefleet.infra.launchers.kubernetes.launcher import KubernetesLauncher
from spikefleet.infra.launchers.kubernetes.manifests import ATTEMPT_SECRET, LAUNCHED

# What becomes of a request: it does not arrive, its answer does not, or the controller dies then.
Way = Literal["not sent", "not answered", "killed before", "killed after"]
WAYS: tuple[Way, ...] = ("not sent", "not answered", "killed before", "killed after")
NUMBERS = itertools.count()
PROFILES = runners()


class Killed(BaseException):
    """The controller's process ends here."""


class CutApi(ClusterApi):
    """The real door, whose requests are cut as told by their number."""

    def __init__(self, connection: client.ApiClient, cuts: dict[int, Way]) -> None:
        super().__init__(connection, NAMESPACE)
        self.cuts = cuts
        self.count = 0
        self.pause = lambda _s: None

    def _once(self, call: Any, args: tuple[Any, ...], more: Any) -> Any:
        self.count += 1
        way = self.cuts.pop(self.count, None)
        if way == "killed before":
            raise Killed
        if way == "not sent":
            raise ClusterUnreachableError("it was not sent")
        answer = super()._once(call, args, more)
        if way == "killed after":
            raise Killed
        if way == "not answered":
            raise ClusterUnreachableError("no answer came")
        return answer


@dataclass
class Records:
    """A controller as far as starts go: it keeps the secret, looks first, and starts by name."""

    fake: KubeFake
    spec: AttemptSpec
    cuts: dict[int, Way]
    kept_secret: str = ""
    api: CutApi = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.api = CutApi(self.fake.client(), self.cuts)
        self.launcher = KubernetesLauncher(self.api, PROFILES, Documents())

    def step(self) -> None:
        try:
            if self.spec.name not in self.launcher.observe():
                self.kept_secret = secrets.token_hex(8)
                self.launcher.start(self.spec, secret=self.kept_secret)
        except LauncherUnreachableError:
            pass
        except Killed:
            self.restart()


@pytest.fixture(scope="module")
def fake() -> Iterator[KubeFake]:
    with KubeFake() as cluster:
        owner = {"metadata": {"name": PROFILES.owner, "namespace": NAMESPACE}, "data": {}}
        client.CoreV1Api(cluster.client()).create_namespaced_config_map(NAMESPACE, owner)
        yield cluster


def start_through(fake: KubeFake, cuts: dict[int, Way]) -> Records:
    """Start a new attempt with these requests cut, then without; check what there is."""
    spec = attempt(name=f"s-{next(NUMBERS)}-sort-1", attempt_id=f"id-{next(NUMBERS)}")
    records = Records(fake, spec, dict(cuts))
    for _ in range(len(cuts) + 4):
        records.step()
    fake.advance(1)  # owners that are gone take their Secrets with them
    jobs = [each for each in fake.store.list(JOBS, NAMESPACE) if is_of(each, spec)]
    assert len(jobs) == 1
    notes = jobs[0]["metadata"]["annotations"]
    assert notes[LAUNCHED] == "true"
    secret = fake.store.get(SECRETS, NAMESPACE, notes[ATTEMPT_SECRET])
    told = (
        secret.get("stringData", {}).get("secret")
        or base64.b64decode(secret["data"]["secret"]).decode()
    )
    assert told == records.kept_secret
    return records


def clear(fake: KubeFake) -> None:
    """Take every Job away, so that the next start is read as fast as the first."""
    jobs = client.BatchV1Api(fake.client())
    for each in fake.store.list(JOBS, NAMESPACE):
        name = each["metadata"]["name"]
        jobs.delete_namespaced_job(name, NAMESPACE, propagation_policy="Background")
    fake.advance(120)


def is_of(job: Any, spec: AttemptSpec) -> bool:
    return bool(job["metadata"]["annotations"]["spikefleet.dev/attempt-id"] == spec.attempt_id)


def test_a_start_that_nothing_disturbs_takes_four_writes_and_two_looks(fake: KubeFake) -> None:
    records = start_through(fake, {})
    records.api.count = 0
    records.step()
    assert records.api.count == 2
    undisturbed = Records(fake, attempt(name="s-quiet-sort-1", attempt_id="quiet"), {})
    undisturbed.step()
    # Jobs and pods, the owner's uid once in a lifetime, then Job, Secret and mark.
    assert undisturbed.api.count <= 6


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", range(1, 8))
def test_any_one_request_may_be_cut(fake: KubeFake, number: int, way: Way) -> None:
    start_through(fake, {number: way})
    clear(fake)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(cuts=st.dictionaries(st.integers(1, 14), st.sampled_from(WAYS), max_size=5))
def test_any_of_them_may_be_cut(fake: KubeFake, cuts: dict[int, Way]) -> None:
    start_through(fake, cuts)
    clear(fake)
