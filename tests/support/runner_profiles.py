"""Runner profiles as the chart renders them, for tests: a CPU sorter and one with a GPU."""

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from spikefleet.core.attempts import AttemptSpec
from spikefleet.infra.launchers.kubernetes.manifests import LAUNCHED, Order
from spikefleet.infra.launchers.kubernetes.profiles import Runners

GIB = 1 << 30
CREATED = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
CPU: dict[str, Any] = {
    "image": "registry.example/cpu-sorters:1",
    "cpus": 4,
    "memory": "16Gi",
    "maxMemory": "64Gi",
    "scratch": {"size": "100Gi", "maxSize": "1Ti"},
    "shm": "2Gi",
    "terminationGracePeriodSeconds": 90,
}
GPU: dict[str, Any] = {
    **CPU,
    "image": "registry.example/kilosort4@sha256:" + "ab" * 32,
    "imagePullSecrets": ["registry"],
    "runtimeClassName": "nvidia",
    "priorityClassName": "sorts",
    "nodeSelector": {"pool": "sorting"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "activeDeadlineSeconds": 259200,
    "env": {"MKL_DEBUG_CPU_TYPE": "5"},
    "gpu": {
        "resourceName": "nvidia.com/gpu",
        "count": 1,
        "sharing": "exclusive",
        "classes": [
            {"name": "24g", "nodeSelector": {"gpu.memory": "24g"}},
            {"name": "80g", "nodeSelector": {"gpu.memory": "80g"}},
        ],
    },
}
DOCUMENT: dict[str, Any] = {
    "version": 1,
    "namespace": "sorting",
    "instance": "lab",
    "owner": "lab-runners",
    "serviceAccount": "lab-runner",
    "reportAddress": "lab-controller:7311",
    "s3Secret": "lab-s3",
    "queue": "",
    "retryPriorityClass": "",
    "profiles": {"default": CPU, "kilosort4": GPU},
}


def document(**changes: Any) -> dict[str, Any]:
    """A whole document with some of its keys changed."""
    return {**copy.deepcopy(DOCUMENT), **changes}


def runners(**changes: Any) -> Runners:
    return Runners.from_json(document(**changes))


def attempt(**changes: Any) -> AttemptSpec:
    """The spec of a first sort attempt."""
    spec = AttemptSpec(
        run_id="run-0123456789abcdef",
        attempt_id="attempt-1",
        name="s-0123456789abcdef-sort-1",
        number=1,
        backend="lupin",
        recording="recording.bin",
        stream="",
        inputs=(),
        config={},
        artifacts_url="s3://sorts/lab?endpoint=https://s3.example",
        artifacts_prefix="runs/run-0123456789abcdef/attempts/sort-1",
    )
    return replace(spec, **changes)


def order(profiles: Runners | None = None, **changes: Any) -> Order:
    """An attempt to start, on record in the store."""
    spec = attempt(**changes)
    key = f"{spec.artifacts_prefix}/spec.json"
    return Order(spec, key, "0f" * 32, profiles or runners(), "owner-uid", "5ec2e7")


def live(manifest: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """A Job as the server has it."""
    made = json.loads(json.dumps(manifest))
    made["metadata"]["uid"] = "job-uid"
    made["metadata"]["creationTimestamp"] = CREATED.isoformat()
    made["metadata"]["annotations"] |= changes.pop("annotations", {LAUNCHED: "true"})
    made["spec"] |= changes.pop("spec", {})
    made["metadata"] |= changes.pop("metadata", {})
    return {**made, "status": changes.pop("status", {})}
