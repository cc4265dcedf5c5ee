"""The launcher of Jobs, held to the contract of all launchers over a strict API server."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from tests.contracts.launcher import LauncherContract
from tests.kubefake.cluster import NAMESPACE, KubeFake
from tests.kubefake.script import Exit, OnSigterm, Script
from tests.kubefake.store import Document
from tests.support.attempt_documents import Documents
from tests.support.attempts import make_spec, wait_for
from tests.support.runner_profiles import CPU, runners

from spikefleet.core.attempts import AttemptOutcome, AttemptSpec
from spikefleet.infra.launchers.base import Launcher, NameConflictError, Observation, Phase, Slots
from spikefleet.infra.launchers.kubernetes.api import ClusterApi
from spikefleet.infra.launchers.kubernetes.launcher import KubernetesLauncher, LauncherTerms

SMALL = CPU | {
    "cpus": 1,
    "memory": "64Mi",
    "maxMemory": "64Mi",
    "shm": "16Mi",
    "scratch": {"size": "1Gi"},
    "terminationGracePeriodSeconds": 20,
}
PROFILES = runners(profiles={"default": SMALL})
SPEED = 40.0
FOR_EVER = Script(runs_s=None, on_sigterm=OnSigterm(Exit(143)))
BEHAVIOURS = {
    "succeed": Script(runs_s=1.0),
    "fail": Script(runs_s=1.0, exit=Exit(110, json.dumps({"code": 110}))),
    "die": Script(runs_s=1.0, exit=Exit(137)),
    "wait": FOR_EVER,
    "cling": replace(FOR_EVER, on_sigterm=None),
}


def behave(pod: Document) -> Script:
    return BEHAVIOURS[pod["metadata"]["labels"]["spikefleet.dev/backend"]]


def core(fake: KubeFake) -> client.CoreV1Api:
    return client.CoreV1Api(fake.client())


def make_launcher(fake: KubeFake, documents: Documents) -> KubernetesLauncher:
    return KubernetesLauncher(
        ClusterApi(fake.client(), NAMESPACE),
        PROFILES,
        documents,
        terms=LauncherTerms(slots=Slots(cpu=2, gpu=1)),
        clock=lambda: datetime.fromisoformat(fake.clock.stamp()),
    )


@pytest.fixture
def fake() -> Iterator[KubeFake]:
    with KubeFake(speed=SPEED, script=behave) as cluster:
        room = {"ephemeral-storage": "100Gi"}
        cluster.nodes["node1"].capacity = {**cluster.nodes["node1"].capacity, **room}
        owner = {"metadata": {"name": PROFILES.owner, "namespace": NAMESPACE}, "data": {}}
        core(cluster).create_namespaced_config_map(NAMESPACE, owner)
        yield cluster


@pytest.fixture
def documents() -> Documents:
    return Documents()


class TestKubernetesLauncher(LauncherContract):
    @pytest.fixture
    def launcher(self, fake: KubeFake, documents: Documents) -> KubernetesLauncher:
        return make_launcher(fake, documents)

    @pytest.fixture(autouse=True)
    def _told(self, documents: Documents) -> None:
        self.documents = documents

    def spec(
        self, place: Path, behaviour: str, name: str = "r-sort-1", *, gpu: bool = False
    ) -> AttemptSpec:
        prefix = f"runs/run/attempts/{name}"
        spec = make_spec(place, name, backend=behaviour, gpu=gpu, artifacts_prefix=prefix)
        if behaviour in ("wait", "cling"):
            heartbeat = {"progress": {"step": "sort"}}
            self.documents.leave(prefix, "live", {"heartbeat": heartbeat})
        if behaviour == "succeed":
            outcome = AttemptOutcome(spec.attempt_id, 0).to_json()
            self.documents.leave(prefix, "outcome", outcome)
        return spec

    def was_killed(self, seen: Observation) -> bool:
        """A cluster tells no signal: 137, or nothing where the pod went with its Job."""
        return seen.exit_code == 137 or (seen.phase is Phase.GONE and seen.outcome is None)

    def was_told_to_end(self, seen: Observation) -> bool:
        """The Job that was stopped goes with its pod."""
        return seen.phase is Phase.GONE and seen.reason == "the attempt was stopped"

    def test_a_new_launcher_adopts_what_still_runs(
        self, launcher: Launcher, fake: KubeFake, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "wait"))
        self.await_running(launcher)
        heir = make_launcher(fake, self.documents)
        heir.start(self.spec(tmp_path, "wait"))
        assert heir.observe()["r-sort-1"].phase is Phase.RUNNING
        assert heir.free_slots() == Slots(cpu=1, gpu=1)
        assert len(fake.pods_of("r-sort-1")) == 1

    def test_an_attempt_has_one_pod_with_all_that_its_manifest_names(
        self, launcher: Launcher, fake: KubeFake, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "wait"), secret="5ec2e7")
        self.await_running(launcher)
        (pod,) = fake.pods_of("r-sort-1")
        named = {v["secret"]["secretName"] for v in pod["spec"]["volumes"] if "secret" in v}
        own = fake.job("r-sort-1")["metadata"]["annotations"]["spikefleet.dev/attempt-secret"]
        assert own in named

    def test_an_attempt_is_told_to_serve_its_metrics_where_its_pod_says(
        self, launcher: Launcher, fake: KubeFake, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "wait"))
        self.await_running(launcher)
        (pod,) = fake.pods_of("r-sort-1")
        (container,) = pod["spec"]["containers"]
        (port,) = (p["containerPort"] for p in container["ports"] if p["name"] == "metrics")
        (key,) = (v["value"] for v in container["env"] if v["name"] == "SPIKEFLEET_ATTEMPT_SPEC")
        assert self.documents.stored[key]["metrics_port"] == port

    def test_an_ended_job_stays_until_it_is_recorded_and_then_expires(
        self, launcher: Launcher, fake: KubeFake, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "fail"))
        self.ended(launcher)
        fake.advance(7 * 86400)
        assert launcher.observe()["r-sort-1"].exit_code == 110
        launcher.forget("r-sort-1")
        fake.advance(3700)
        assert names_of_jobs(fake) == []

    def test_a_drained_attempt_is_told_by_its_job_after_its_pod_is_gone(
        self, launcher: Launcher, fake: KubeFake, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "wait"))
        self.await_running(launcher)
        (pod,) = fake.pods_of("r-sort-1")
        fake.disrupt_pod(pod["metadata"]["name"], "EvictionByEvictionAPI", "evicting")
        wait_for(lambda: not fake.pods_of("r-sort-1"))
        seen = self.ended(launcher)
        assert seen.phase is Phase.EXITED
        assert "DisruptionTarget" in seen.disruption

    def test_what_ran_before_an_uninstall_goes_with_the_installation(
        self, launcher: Launcher, fake: KubeFake, tmp_path: Path
    ) -> None:
        launcher.start(self.spec(tmp_path, "wait"))
        self.await_running(launcher)
        core(fake).delete_namespaced_config_map(PROFILES.owner, NAMESPACE)
        wait_for(lambda: names_of_jobs(fake) == [] and not fake.pods_of("r-sort-1"))

    def test_a_job_of_that_name_that_is_not_ours_is_no_attempt(
        self, launcher: Launcher, fake: KubeFake, tmp_path: Path
    ) -> None:
        make_launcher(fake, Documents()).start(self.spec(tmp_path, "wait"))
        other = replace(self.spec(tmp_path, "wait"), attempt_id="another")
        stranger = make_launcher(fake, self.documents)
        stranger.observe()
        stranger._known = {}
        with pytest.raises(NameConflictError):
            stranger.start(other)


def names_of_jobs(fake: KubeFake) -> list[Any]:
    return [
        each.metadata.name
        for each in client.BatchV1Api(fake.client()).list_namespaced_job(NAMESPACE).items
    ]
