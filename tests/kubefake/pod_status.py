"""The status of a pod as the kubelet writes it, at every step of its life."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from tests.kubefake.store import Document

HOST_IP = "10.201.0.1"
IMAGE_ID = "sha256:bc73443d45c5e6d4d7329300679a7c4146436ceb61908074c03ae3ea29a533c8"
#: The order in which the kubelet writes its own conditions.
_KUBELET = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


def set_condition(
    status: Document,
    kind: str,
    value: str,
    now: str,
    *,
    reason: str = "",
    message: str = "",
    generation: int | None = None,
) -> None:
    """Set one condition in place; its transition time moves only when its value does."""
    conditions: list[dict[str, Any]] = status.setdefault("conditions", [])
    held = next((one for one in conditions if one["type"] == kind), None)
    since = held["lastTransitionTime"] if held and held["status"] == value else now
    made: dict[str, Any] = {"type": kind}
    if generation is not None:
        made["observedGeneration"] = generation
    made |= {"status": value, "lastProbeTime": None, "lastTransitionTime": since}
    if reason:
        made["reason"] = reason
    if message:
        made["message"] = message
    if held is None:
        conditions.append(made)
    else:
        conditions[conditions.index(held)] = made


def has_condition(status: Mapping[str, Any], kind: str) -> bool:
    """Whether it is there and True."""
    return any(
        one["type"] == kind and one["status"] == "True" for one in status.get("conditions", ())
    )


def kubelet_status(
    pod: Document, now: str, *, sandbox: bool, states: Mapping[str, Document]
) -> Document:
    """The status with every container in the state given, in the API's order of keys.

    ``states`` maps container names to ``{"running": …}``, ``{"waiting": …}`` and so on.
    """
    held = pod["status"]
    spec = pod["spec"]
    generation = pod["metadata"].get("generation", 1)
    status: Document = {"observedGeneration": generation, "phase": held["phase"]}
    status["conditions"] = copy.deepcopy(held.get("conditions", []))
    names = [one["name"] for one in spec["containers"]]
    ready = all("running" in states[name] for name in names)
    ended = all("terminated" in states[name] for name in names)
    why: dict[str, str] = {}
    if ended:
        good = all(states[name]["terminated"]["exitCode"] == 0 for name in names)
        why = {"reason": "PodCompleted" if good else "PodFailed"}
    elif not ready:
        unready = " ".join(name for name in names if "running" not in states[name])
        why = {
            "reason": "ContainersNotReady",
            "message": f"containers with unready status: [{unready}]",
        }
    values = {
        "PodReadyToStartContainers": (sandbox, {}),
        "Initialized": (
            True,
            {"reason": "PodCompleted"} if ended and why["reason"] == "PodCompleted" else {},
        ),
        "Ready": (ready, why),
        "ContainersReady": (ready, why),
        "PodScheduled": (True, {}),
    }
    for kind in _KUBELET:
        value, words = values[kind]
        set_condition(
            status, kind, "True" if value else "False", now, generation=generation, **words
        )
    others = [one for one in status["conditions"] if one["type"] not in _KUBELET]
    own = [next(one for one in status["conditions"] if one["type"] == kind) for kind in _KUBELET]
    status["conditions"] = [*others, *own]
    status["hostIP"] = HOST_IP
    status["hostIPs"] = [{"ip": HOST_IP}]
    if sandbox or "podIP" in held:
        status["podIP"] = held.get("podIP", "10.244.0.7")
        status["podIPs"] = [{"ip": status["podIP"]}]
    status["startTime"] = held.get("startTime", now)
    status["containerStatuses"] = [
        _container(one, states[one["name"]]) for one in spec["containers"]
    ]
    status["qosClass"] = held["qosClass"]
    total = _total(spec)
    if total:
        status["allocatedResources"] = total.get("requests", {})
        status["resources"] = total
    return status


def _container(container: Document, state: Document) -> Document:
    kind = next(iter(state))
    started = kind != "waiting"
    lost = kind == "terminated" and state[kind]["reason"] == "ContainerStatusUnknown"
    made: Document = {
        "name": container["name"],
        "state": copy.deepcopy(state),
        "lastState": {},
        "ready": kind == "running",
        "restartCount": 0,
        "image": container["image"],
        "imageID": IMAGE_ID if started and not lost else "",
    }
    if started and not lost:
        made["containerID"] = state[kind].get("containerID", f"containerd://{'a1' * 32}")
    made["started"] = kind == "running"
    resources = container.get("resources") or {}
    if resources and started and not lost:
        made["allocatedResources"] = resources.get("requests", {})
        made["resources"] = resources
    mounts = container.get("volumeMounts")
    if mounts:
        made["volumeMounts"] = [
            {**one, **({"recursiveReadOnly": "Disabled"} if one.get("readOnly") else {})}
            for one in mounts
        ]
    return made


def _total(spec: Document) -> Document:
    found: Document = {}
    for container in spec["containers"]:
        for kind, wanted in (container.get("resources") or {}).items():
            if isinstance(wanted, Mapping):
                found.setdefault(kind, {}).update(wanted)
    return found
