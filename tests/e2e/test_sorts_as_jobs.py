"""The main job in a cluster: rooms and sorts in processes of their own, the sorts made from Jobs.

The API server is the strict fake; its kubelet starts each pod as a real process from nothing but
the manifest, so that a mistake in command, variables, secrets or volumes fails here.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from tests.e2e.conftest import SORTER
from tests.kubefake.cluster import NAMESPACE, KubeFake, kubeconfig
from tests.kubefake.processes import ImageStandIn
from tests.kubefake.resources import JOBS, SECRETS
from tests.support.postgres import postgres_server, postgres_url
from tests.support.room_processes import RoomProcesses
from tests.support.runner_profiles import CPU, document
from tests.support.s3_servers import S3Server

from spikefleet.core.runs import RunState
from spikefleet.deploy.rooms.wiring import RoomName

__all__ = ["postgres_server", "postgres_url"]  # fixtures

IMAGE = "localhost/cpu-sorters:1"
ROOMS = tuple(RoomName)
PROFILE = CPU | {"image": IMAGE, "cpus": 1, "memory": "8Gi", "scratch": {"size": "4Gi"}}
WANTED = {"PYTHONPATH", "HDF5_PLUGIN_PATH", "LANG"}


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[KubeFake]:
    own = {name: os.environ[name] for name in WANTED if name in os.environ}
    images = {IMAGE: ImageStandIn(own, {"python": sys.executable})}
    with KubeFake(speed=1.0) as cluster, cluster.processes(tmp_path / "nodes", images):
        behind_s = cluster.clock.seconds_of(datetime.now(UTC).isoformat())
        cluster.advance(max(0.0, behind_s))  # pods are as old as the controller's clock says
        capacity = {"cpu": "8", "memory": "64Gi", "pods": "10", "ephemeral-storage": "100Gi"}
        cluster.nodes["node1"].capacity = capacity
        owner = {"metadata": {"name": "lab-runners"}, "data": {}}
        client.CoreV1Api(cluster.client()).create_namespaced_config_map(NAMESPACE, owner)
        yield cluster


def make_rooms(
    fake: KubeFake, folder: Path, settings: dict[str, str], **runners: Any
) -> RoomProcesses:
    """Every room in one process that starts its sorts on the fake; not started yet."""
    told = document(namespace=NAMESPACE, reportAddress="", profiles={"default": PROFILE}, **runners)
    where = {
        "RUNNERS_FILE": str(write(folder / "runners.json", told)),
        "KUBECONFIG": str(write(folder / "kubeconfig", kubeconfig(fake.url))),
    }
    return RoomProcesses(folder / "rooms", [ROOMS], settings | where)


@pytest.fixture
def rooms(fake: KubeFake, tmp_path: Path, postgres_url: str) -> Iterator[RoomProcesses]:
    store = (tmp_path / "artifacts").as_uri()
    settings = {"DATABASE_URL": postgres_url, "ARTIFACTS_URL": store}
    made = make_rooms(fake, tmp_path, settings, s3Secret="").start()
    yield made
    made.close()


@pytest.fixture
def bucket_rooms(fake: KubeFake, tmp_path: Path, postgres_url: str) -> Iterator[RoomProcesses]:
    server = S3Server("swift", tmp_path / "s3")
    server.start()
    keys = {
        "access-key": server.credentials.access_key,
        "secret-key": server.credentials.secret_key,
    }
    fake.put(SECRETS, {"kind": "Secret", "metadata": {"name": "lab-s3"}, "stringData": keys})
    bucket = server.make_bucket().bucket
    settings = {
        "DATABASE_URL": postgres_url,
        "ARTIFACTS_URL": f"s3://{bucket}/lab?endpoint={server.endpoint}",
        "S3_CREDENTIALS": str(server.write_credentials(tmp_path / "secret")),
    }
    made = make_rooms(fake, tmp_path, settings, s3Secret="lab-s3").start()
    yield made
    made.close()
    server.end()


def write(path: Path, what: Any) -> Path:
    path.write_text(json.dumps(what))
    return path


def jobs_of(fake: KubeFake) -> dict[str, Any]:
    with fake.clock.lock:
        return {each["metadata"]["name"]: each for each in fake.store.list(JOBS, NAMESPACE)}


def await_that(what: Callable[[], Any], timeout_s: float = 120.0) -> Any:
    deadline_s = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.1)
    return found


def test_a_recording_goes_from_a_rig_into_a_bucket_is_sorted_by_a_pod_and_reported(
    bucket_rooms: RoomProcesses, fake: KubeFake, recording: Path, tmp_path: Path
) -> None:
    with bucket_rooms.client() as people:
        (run_id,) = people.submit(recording, SORTER, in_place=False).run_ids
        (run,) = people.wait([run_id], timeout_s=270)
        assert run.state is RunState.SUCCEEDED, (run.run.failure, bucket_rooms.log(ROOMS)[-3000:])
        assert run.run.result["n_units_curated"] > 0
        assert {f.path.name for f in people.fetch(run_id, tmp_path / "out")} >= {"report.html"}
    (job,) = jobs_of(fake).values()
    await_that(lambda: "spikefleet.dev/recorded" in job_labels(fake))
    assert job["status"]["succeeded"] == 1
    staged = tmp_path / "rooms" / "-".join(ROOMS) / "staging"
    assert not staged.exists() or not list(staged.iterdir())  # no byte came through the service


def job_labels(fake: KubeFake) -> dict[str, str]:
    (job,) = jobs_of(fake).values()
    return dict(job["metadata"]["labels"])


def test_a_drained_sort_is_sorted_again_by_another_job_and_an_owner_sees_why(
    rooms: RoomProcesses, fake: KubeFake, recording: Path
) -> None:
    with rooms.client() as people:
        (run_id,) = people.submit(recording, SORTER, in_place=False).run_ids
        name = await_that(lambda: next(iter(jobs_of(fake)), ""))
        await_that(lambda: [p for p in fake.pods_of(name) if p["status"]["phase"] == "Running"])
        (pod,) = fake.pods_of(name)
        time.sleep(1.0)
        fake.disrupt_pod(pod["metadata"]["name"], "EvictionByEvictionAPI", "the node is drained")
        (run,) = people.wait([run_id], timeout_s=240)
        assert run.state is RunState.SUCCEEDED, (run.run.failure, rooms.log(ROOMS)[-3000:])
        assert len(jobs_of(fake)) == 2
        first = next(a for a in people.get(run_id).attempts if a.failure is not None)
        assert first.failure is not None
        assert str(first.failure.code) == "disrupted"


def test_a_sort_without_room_says_what_it_waits_for_and_starts_when_there_is_some(
    rooms: RoomProcesses, fake: KubeFake, recording: Path
) -> None:
    fake.nodes["node1"].capacity = {**fake.nodes["node1"].capacity, "memory": "1Gi"}
    with rooms.client() as people:
        (run_id,) = people.submit(recording, SORTER, in_place=False).run_ids
        words = "waits for a node with room for it: 1 Insufficient memory"
        await_that(lambda: people.get(run_id).run.progress.get("step") == words)
        fake.nodes["node1"].capacity = {**fake.nodes["node1"].capacity, "memory": "64Gi"}
        (run,) = people.wait([run_id], timeout_s=240)
        assert run.state is RunState.SUCCEEDED, (run.run.failure, rooms.log(ROOMS)[-3000:])
