"""The defaults the server fills in, and the labels a Job puts on its pods."""

from __future__ import annotations

from typing import Any

from tests.kubefake.resources import EVENTS, JOBS, PODS, Resource
from tests.kubefake.store import Document

TRACKING = "batch.kubernetes.io/job-tracking"


def fill_in(resource: Resource, document: Document) -> None:
    """Edit a new object in place; it has its uid already."""
    if resource is JOBS:
        _job(document)
    elif resource is PODS:
        pod(document)
    elif resource is EVENTS:
        document.setdefault("source", {})


def _job(document: Document) -> None:
    uid, name = document["metadata"]["uid"], document["metadata"]["name"]
    spec = document["spec"]
    document["metadata"]["generation"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("completions", 1)
    spec.setdefault("backoffLimit", 6)
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    spec["manualSelector"] = False
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    with_policy = "podFailurePolicy" in spec
    spec.setdefault("podReplacementPolicy", "Failed" if with_policy else "TerminatingOrFailed")
    labels = spec["template"].setdefault("metadata", {}).setdefault("labels", {})
    labels.update(
        {
            "batch.kubernetes.io/controller-uid": uid,
            "batch.kubernetes.io/job-name": name,
            "controller-uid": uid,
            "job-name": name,
        }
    )
    _pod_spec(spec["template"]["spec"])
    document["status"] = {}


def pod(document: Document) -> None:
    """A pod as it is after admission."""
    document["metadata"]["generation"] = 1
    spec = document["spec"]
    _pod_spec(spec)
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("serviceAccountName", "default")
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    tolerations: list[dict[str, Any]] = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(one.get("key") == key for one in tolerations):
            tolerations.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            )
    spec.setdefault("priority", 0)
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    document["status"] = {"phase": "Pending", "qosClass": quality(spec)}


def quality(spec: Document) -> str:
    """The pod's class of service."""
    resources = [one.get("resources") or {} for one in spec["containers"]]
    wanted = [
        {k: v for k, v in (one.get(kind) or {}).items() if k in ("cpu", "memory")}
        for one in resources
        for kind in ("requests", "limits")
    ]
    if not any(wanted):
        return "BestEffort"
    guaranteed = all(
        set(one.get("limits") or {}) >= {"cpu", "memory"}
        and all((one.get("requests") or {}).get(k, v) == v for k, v in one["limits"].items())
        for one in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _pod_spec(spec: Document) -> None:
    for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
        container.setdefault("resources", {})
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        container.setdefault("imagePullPolicy", "IfNotPresent")
        limits = container["resources"].get("limits") or {}
        if limits:
            requests = container["resources"].setdefault("requests", {})
            for name, value in limits.items():
                requests.setdefault(name, value)
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
