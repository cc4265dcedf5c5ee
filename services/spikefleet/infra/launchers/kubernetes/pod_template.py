"""The pod of an attempt: command, environment, volumes, sizes and where it may run. Pure.

It keeps PodSecurity *restricted*: no root, no capability, nothing writable but its own volumes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikefleet.core.attempts import AttemptSpec
from spikefleet.infra.launchers.kubernetes.profiles import (
    GpuWish,
    RunnerProfile,
    SharedRecordings,
)
from spikefleet.infra.launchers.kubernetes.quantities import quantity_of
from spikefleet.infra.launchers.process import THREAD_VARIABLES

SORTER = "sorter"
SECRET_KEY = "secret"
USER_ID = 10001
METRICS_PORT = 9101
COMMAND = ("python", "-m", "spikefleet.deploy.pod")

_SCRATCH, _TMP, _SHM = "/scratch", "/tmp", "/dev/shm"
_SECRETS = "/run/secrets/spikefleet"
_S3, _ATTEMPT = f"{_SECRETS}/s3", f"{_SECRETS}/attempt"
_TERMINATION_LOG = "/dev/termination-log"
_TMP_BYTES = 4 << 30
_ROOM_BYTES = 2 << 30  # the container's own log and what the runtime writes beside it
_SECRET_MODE = 0o440
_LEAVE_LOST_NODE_S = 60  # Kubernetes waits 300 s where a pod says nothing
_AVOID_WEIGHT = 100


@dataclass(frozen=True)
class PodOrder:
    """What decides the pod of an attempt."""

    spec: AttemptSpec  #: the attempt
    profile: RunnerProfile  #: of its sorter
    labels: Mapping[str, str]  #: of the pod
    spec_key: str  #: where its spec lies in the artifact store
    spec_sha256: str  #: and its digest
    secret_name: str  #: Secret that the pod shows the controller
    s3_secret: str  #: Secret with the bucket's keys; "" is none
    service_account: str  #: which may do nothing
    recordings: SharedRecordings | None = None  #: None: every recording was uploaded

    @property
    def memory_bytes(self) -> int:
        """The memory limit: the attempt's, else the profile's; never more than its largest."""
        wanted = self.spec.memory_limit_bytes or self.profile.memory_bytes
        return min(wanted, self.profile.max_memory_bytes)

    @property
    def scratch_bytes(self) -> int:
        """The size of the scratch volume; 0 where it is a claim, which has its own."""
        scratch = self.profile.scratch
        if scratch.claim:
            return 0
        return min(self.spec.scratch_limit_bytes or scratch.size_bytes, scratch.max_size_bytes)

    @property
    def gpu(self) -> GpuWish | None:
        """The GPU it gets; None for an attempt without one."""
        return self.profile.gpu if self.spec.gpu else None


def pod_template(order: PodOrder) -> dict[str, Any]:
    """Return the template of the Job's pod."""
    profile = order.profile
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "serviceAccountName": order.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": profile.termination_grace_period_s,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(order)],
        "volumes": _volumes(order),
        "tolerations": [*_leave_lost_nodes(), *map(dict, profile.tolerations)],
        **_placement(order),
    }
    if profile.active_deadline_s:
        # Of the pod, not of the Job: it counts from the pod's start, so a sort that waits for room
        # is not ended by it, and the pod stays with its exit code and message.
        pod["activeDeadlineSeconds"] = profile.active_deadline_s
    optional = {
        "priorityClassName": profile.priority_class_name,
        "runtimeClassName": profile.runtime_class_name,
        "imagePullSecrets": [{"name": name} for name in profile.image_pull_secrets],
    }
    pod |= {name: value for name, value in optional.items() if value}
    annotations = {
        "kueue.x-k8s.io/safe-to-forcefully-delete": "true",
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    }
    return {"metadata": {"labels": dict(order.labels), "annotations": annotations}, "spec": pod}


def _container(order: PodOrder) -> dict[str, Any]:
    profile = order.profile
    mounts = [("scratch", _SCRATCH), ("tmp", _TMP), ("shm", _SHM)]
    read = [("attempt", _ATTEMPT)] + ([("s3", _S3)] if order.s3_secret else [])
    if order.recordings is not None:
        read.append(("recordings", order.recordings.path))
    return {
        "name": SORTER,
        "image": profile.image,
        "imagePullPolicy": profile.image_pull_policy,
        "command": list(COMMAND),
        "env": _environment(order),
        "ports": [{"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"}],
        "resources": _resources(order),
        "terminationMessagePath": _TERMINATION_LOG,
        # Without a message of its own the end of its log tells why, as for a foreign processor.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            *({"name": name, "mountPath": path} for name, path in mounts),
            *({"name": name, "mountPath": path, "readOnly": True} for name, path in read),
        ],
    }


def _environment(order: PodOrder) -> list[dict[str, Any]]:
    profile = order.profile
    _, at, digest = profile.image.partition("@")
    said = {
        "SPIKEFLEET_ATTEMPT_ID": order.spec.attempt_id,
        "SPIKEFLEET_ATTEMPT_SPEC": order.spec_key,
        "SPIKEFLEET_ATTEMPT_SPEC_SHA256": order.spec_sha256,
        "SPIKEFLEET_ARTIFACTS_URL": order.spec.artifacts_url,
        "SPIKEFLEET_ATTEMPT_SECRET_FILE": f"{_ATTEMPT}/{SECRET_KEY}",
        "SPIKEFLEET_SCRATCH": _SCRATCH,
        "SPIKEFLEET_TERMINATION_LOG": _TERMINATION_LOG,
        **({"SPIKEFLEET_SCRATCH_STAYS": "true"} if profile.scratch.claim else {}),
        **({"SPIKEFLEET_S3_CREDENTIALS": _S3} if order.s3_secret else {}),
        **({"SPIKEFLEET_IMAGE_DIGEST": digest} if at else {}),
        **dict.fromkeys(THREAD_VARIABLES, str(profile.cpus)),
        "HOME": _TMP,
        # A node's default runtime may show every GPU to whoever asks for none.
        **({} if order.gpu else {"NVIDIA_VISIBLE_DEVICES": "void", "CUDA_VISIBLE_DEVICES": ""}),
        **profile.env,
    }
    fields = {
        "SPIKEFLEET_POD_NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
        "SPIKEFLEET_NODE_NAME": {"fieldRef": {"fieldPath": "spec.nodeName"}},
        "SPIKEFLEET_POD_MEMORY_BYTES": {
            "resourceFieldRef": {"containerName": SORTER, "resource": "limits.memory"}
        },
    }
    return [
        *({"name": name, "value": value} for name, value in said.items()),
        *({"name": name, "valueFrom": source} for name, source in fields.items()),
    ]


def _resources(order: PodOrder) -> dict[str, Any]:
    """Memory and GPU are asked for and limited alike.

    CPU has no limit: throttling would slow the guards that must see a fault in time.
    """
    memory = quantity_of(order.memory_bytes)
    requests = {"cpu": str(order.profile.cpus), "memory": memory}
    limits = {"memory": memory}
    if order.scratch_bytes:
        beside = _TMP_BYTES + _ROOM_BYTES
        requests["ephemeral-storage"] = quantity_of(order.scratch_bytes + _ROOM_BYTES)
        limits["ephemeral-storage"] = quantity_of(order.scratch_bytes + beside)
    if order.gpu is not None:
        limits[order.gpu.resource_name] = requests[order.gpu.resource_name] = str(order.gpu.count)
    return {"requests": requests, "limits": limits}


def _volumes(order: PodOrder) -> list[dict[str, Any]]:
    scratch = order.profile.scratch
    source: dict[str, Any] = (
        {"persistentVolumeClaim": {"claimName": scratch.claim}}
        if scratch.claim
        else {"emptyDir": {"sizeLimit": quantity_of(order.scratch_bytes)}}
    )
    shm = {"medium": "Memory", "sizeLimit": quantity_of(order.profile.shm_bytes)}
    volumes = [
        {"name": "scratch", **source},
        {"name": "tmp", "emptyDir": {"sizeLimit": quantity_of(_TMP_BYTES)}},
        {"name": "shm", "emptyDir": shm},
        _secret_volume("attempt", order.secret_name),
    ]
    if order.s3_secret:
        volumes.append(_secret_volume("s3", order.s3_secret))
    if order.recordings is not None:
        claim = {"claimName": order.recordings.claim, "readOnly": True}
        volumes.append({"name": "recordings", "persistentVolumeClaim": claim})
    return volumes


def _secret_volume(name: str, secret: str) -> dict[str, Any]:
    return {"name": name, "secret": {"secretName": secret, "defaultMode": _SECRET_MODE}}


def _leave_lost_nodes() -> list[dict[str, Any]]:
    return [
        {
            "key": f"node.kubernetes.io/{trouble}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": _LEAVE_LOST_NODE_S,
        }
        for trouble in ("not-ready", "unreachable")
    ]


def _placement(order: PodOrder) -> dict[str, Any]:
    """The labels that its node must have, and the nodes that it stays away from where it can."""
    labels = {**order.profile.node_selector, **_class_labels(order)}
    placed: dict[str, Any] = {"nodeSelector": labels} if labels else {}
    if order.spec.exclude_nodes:
        placed["affinity"] = {"nodeAffinity": _avoid(order.spec.exclude_nodes)}
    return placed


def _class_labels(order: PodOrder) -> Mapping[str, str]:
    classes = order.gpu.classes if order.gpu is not None else ()
    wanted = [each for each in classes if each.name == order.spec.gpu_class]
    chosen = wanted or list(classes[:1])
    return chosen[0].node_selector if chosen else {}


def _avoid(nodes: Sequence[str]) -> dict[str, Any]:
    """Preferred, not required: where there is no other node the attempt still runs."""
    fields = [
        {"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in sorted(nodes)
    ]
    term = {"weight": _AVOID_WEIGHT, "preference": {"matchFields": fields}}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [term]}
