"""A controller whose sorts are Jobs of a scripted cluster; its pods are the test's to play."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.controlled import Controlled
from tests.support.runner_profiles import CPU, live, runners
from tests.support.scripted_api import (
    EVENTS,
    JOBS,
    OWNER,
    PODS,
    SECRETS,
    Answer,
    Request,
    Script,
    listing,
    status,
)  # fmt: skip

from spikefleet.controller.attempt_documents import StoredDocuments
from spikefleet.core.attempts import AttemptOutcome, AttemptSpec, Stage
from spikefleet.core.runs import Attempt
from spikefleet.infra.launchers.kubernetes.api import connect
from spikefleet.infra.launchers.kubernetes.launcher import KubernetesLauncher
from spikefleet.infra.launchers.kubernetes.profiles import Runners
from spikefleet.infra.stores.bytes.artifacts import publish_folder

PROFILES = runners(profiles={"default": CPU | {"maxMemory": "24Gi"}}, s3Secret="")


@dataclass
class Cluster:
    """Keeps the Jobs it is given; what becomes of their pods is the test's to say."""

    script: Script
    jobs: dict[str, Any] = field(default_factory=dict)
    pods: dict[str, Any] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    deleted: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.script.on("GET", JOBS, lambda _: listing(*self.kept()))
        self.script.on("GET", PODS, lambda _: listing(*self.pods.values()))
        self.script.on("GET", EVENTS, listing())
        self.script.on("GET", OWNER, (200, {"metadata": {"uid": "owner-uid"}}))
        self.script.on("POST", JOBS, self.take)
        self.script.on("POST", SECRETS, (201, {}))

    def kept(self) -> list[Any]:
        labels = [(job, job["metadata"]["labels"]) for job in self.jobs.values()]
        return [job for job, own in labels if "spikefleet.dev/recorded" not in own]

    def take(self, asked: Request) -> Answer:
        name = asked.body["metadata"]["name"]
        if name in self.jobs:
            return 409, status(409, "AlreadyExists", "it is there")
        metadata = {"uid": f"uid-{name}", "creationTimestamp": "2026-11-28T12:00:00Z"}
        self.jobs[name] = live(asked.body, annotations={}, metadata=metadata)
        self.made.append(name)
        self.script.on("GET", f"{JOBS}/{name}", lambda _: (200, self.jobs[name]))
        self.script.on("PATCH", f"{JOBS}/{name}", self.change)
        self.script.on("DELETE", f"{JOBS}/{name}", self.drop)
        return 201, self.jobs[name]

    def change(self, asked: Request) -> Answer:
        job = self.jobs[asked.path.rpartition("/")[2]]
        for part, names in asked.body["metadata"].items():
            job["metadata"][part] |= names
        return 200, job

    def drop(self, asked: Request) -> Answer:
        name = asked.path.rpartition("/")[2]
        self.deleted.append((name, asked.body["propagationPolicy"]))
        self.pods.pop(name, None)
        return 200, self.jobs.pop(name)

    def has_pod(self, name: str, phase: str = "Running", **state: Any) -> None:
        self.pods[name] = {
            "metadata": {
                "name": f"{name}-abcde",
                "uid": f"pod-{name}",
                "creationTimestamp": "2026-11-28T12:00:00Z",
                "ownerReferences": [{"uid": f"uid-{name}"}],
            },
            "spec": {"nodeName": state.pop("node", "node-a")},
            "status": {"phase": phase, **state},
        }

    def ends(self, name: str, kind: str = "Failed", message: str = "") -> None:
        found = {"type": kind, "status": "True", "reason": "x", "message": message}
        self.jobs[name]["status"] = {"conditions": [found]}


def launching(cluster: Cluster, profiles: Runners) -> Callable[[Controlled], KubernetesLauncher]:
    """Makes a controller's launcher of Jobs of ``cluster``."""

    def launch(made: Controlled) -> KubernetesLauncher:
        api = connect(url=cluster.script.url, namespace="sorting")
        api.pause = lambda _s: None
        documents = StoredDocuments(made.artifacts)
        return KubernetesLauncher(api, profiles, documents, clock=made.clock)

    return launch


def controlled_in(cluster: Cluster, folder: Path, profiles: Runners = PROFILES) -> Controlled:
    """A controller on ``folder`` that starts its sorts as Jobs of ``cluster``."""
    return Controlled(folder, launch=launching(cluster, profiles), machine_of=profiles.machine)


def sorting(room: Controlled, run_id: str) -> Attempt:
    """Drive until the run has a live sort attempt; return it."""

    def there() -> list[Attempt]:
        return [a for a in room.runs.live_attempts() if a.stage is Stage.SORT]

    room.drive(there)
    room.drive_rounds(1)
    (attempt,) = there()
    assert attempt.run_id == run_id
    return attempt


def names_of_live(room: Controlled) -> set[str]:
    return {attempt.name for attempt in room.runs.live_attempts()}


def order_of(room: Controlled, cluster: Cluster, name: str) -> AttemptSpec:
    """What the pod of a Job would read."""
    (container,) = cluster.jobs[name]["spec"]["template"]["spec"]["containers"]
    told = {entry["name"]: entry.get("value") for entry in container["env"]}
    return AttemptSpec.from_json(
        json.loads(room.artifacts.get_bytes(str(told["SPIKEFLEET_ATTEMPT_SPEC"])))
    )


def publish(room: Controlled, attempt: Attempt, folder: Path) -> None:
    """What a pod that succeeds leaves in the store."""
    folder.mkdir()
    outcome = AttemptOutcome(attempt.attempt_id, 0, n_units=3, n_spikes=9, duration_s=60.0)
    (folder / "outcome.json").write_text(json.dumps(outcome.to_json()))
    publish_folder(room.artifacts, attempt.place.prefix, folder)
