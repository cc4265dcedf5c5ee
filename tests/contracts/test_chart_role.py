"""The chart's Role and runners, before a strict API server: they suffice, and no right is idle.

The server writes down every right that it was asked for, so one that is missing and one too many
both fail here.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from kubernetes import client
from tests.house.charts import one, render, rights
from tests.kubefake.access import Use
from tests.kubefake.cluster import NAMESPACE, KubeFake
from tests.kubefake.script import Exit, Script
from tests.support.attempt_documents import Documents
from tests.support.attempts import make_spec, wait_for

from spikefleet.core.attempts import AttemptSpec
from spikefleet.infra.launchers.base import Phase, Slots, StartRefusedError
from spikefleet.infra.launchers.kubernetes.api import ClusterApi
from spikefleet.infra.launchers.kubernetes.launcher import KubernetesLauncher, LauncherTerms
from spikefleet.infra.launchers.kubernetes.leader import Leader, LeaderTerms
from spikefleet.infra.launchers.kubernetes.profiles import Runners
from spikefleet.infra.launchers.kubernetes.watch import ClusterWatch

MINIMAL = "minimal-values.yaml"


USES_OF_LEADING = {
    Use("coordination.k8s.io", "leases", "update"),
    Use("batch", "jobs", "watch"),
    Use("", "pods", "watch"),
}


@contextmanager
def installed() -> Iterator[KubeFake]:
    """A cluster into which the chart's objects were put, asked from then on under its Role."""
    script = Script(runs_s=200.0, exit=Exit(110, json.dumps({"code": 110})))
    with KubeFake(speed=40.0, script=script) as fake:
        room = {"cpu": "16", "memory": "256Gi", "ephemeral-storage": "4Ti"}
        fake.nodes["node1"].capacity = {**fake.nodes["node1"].capacity, **room}
        core = client.CoreV1Api(fake.client())
        objects = render(MINIMAL)
        core.create_namespaced_config_map(NAMESPACE, one(objects, "ConfigMap", "runners"))
        fake.access.role = one(objects, "Role", "controller")
        fake.access.used.clear()
        yield fake


def make_launcher(fake: KubeFake) -> KubernetesLauncher:
    document = one(render(MINIMAL), "ConfigMap", "runners")["data"]["runners.json"]
    return KubernetesLauncher(
        ClusterApi(fake.client(), NAMESPACE),
        Runners.from_json(json.loads(document)),
        Documents(),
        terms=LauncherTerms(slots=Slots(cpu=4, gpu=1)),
    )


def order(place: Path, name: str) -> AttemptSpec:
    return make_spec(place, name, backend="lupin", artifacts_prefix=f"runs/run/attempts/{name}")


def use_of_a_sort(place: Path) -> set[Use]:
    """Start, adopt, read, stop and forget; return the rights that this took."""
    with installed() as fake:
        launcher, late = make_launcher(fake), make_launcher(fake)
        late.observe()
        for name in ("r-sort-1", "r-sort-2"):
            launcher.start(order(place, name), secret="5ec2e7")
        late.start(order(place, "r-sort-1"), secret="5ec2e7")
        wait_for(lambda: launcher.observe()["r-sort-1"].phase is Phase.RUNNING)
        assert launcher.read_log("r-sort-1", 0, 100) is not None
        launcher.stop("r-sort-2", grace_s=1.0)
        wait_for(lambda: launcher.observe()["r-sort-1"].phase is Phase.EXITED)
        launcher.forget("r-sort-1")
        return set(fake.access.used)


def use_of_a_wait(place: Path) -> set[Use]:
    """Start a sort for which the namespace has no room; return the rights that this took."""
    with installed() as fake:
        fake.access.role = None
        quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
        core = client.CoreV1Api(fake.client())
        core.create_namespaced_resource_quota(NAMESPACE, quota)
        fake.access.role = one(render(MINIMAL), "Role", "controller")
        fake.access.used.clear()
        launcher = make_launcher(fake)
        launcher.start(order(place, "r-sort-1"), secret="5ec2e7")
        wait_for(lambda: "quota" in launcher.observe()["r-sort-1"].waiting)
        return set(fake.access.used)


def use_of_leading() -> set[Use]:
    """Lead, renew, hear of changes and leave; return the rights that this took."""
    with installed() as fake:
        api = ClusterApi(fake.client(), NAMESPACE)
        name = one(render(MINIMAL), "Role", "controller")["metadata"]["name"]
        terms = LeaderTerms(name, "me", duration_s=3, deadline_s=2.0, retry_s=0.1)
        leader = Leader(api, terms, on_lost=lambda: None)
        rung = Event()
        watch = ClusterWatch(api, "app.kubernetes.io/name=spikefleet", rung.set)
        leader.start()
        watch.start()
        assert leader.wait(10.0)
        assert rung.wait(10.0)
        wait_for(lambda: fake.access.used >= USES_OF_LEADING)
        leader.close()
        watch.close()
        return set(fake.access.used)


def test_the_controller_works_with_the_rights_of_the_chart_and_none_is_idle(tmp_path: Path) -> None:
    used = use_of_a_sort(tmp_path) | use_of_a_wait(tmp_path) | use_of_leading()
    assert used == {Use(*right) for right in rights(render(MINIMAL))}


def test_a_right_that_is_taken_away_stops_the_launcher(tmp_path: Path) -> None:
    with installed() as fake:
        role = one(render(MINIMAL), "Role", "controller")
        rules = [rule for rule in role["rules"] if rule["resources"] != ["secrets"]]
        fake.access.role = {**role, "rules": rules}
        with pytest.raises(StartRefusedError, match='cannot create resource "secrets"'):
            make_launcher(fake).start(order(tmp_path, "r-sort-1"), secret="5ec2e7")
