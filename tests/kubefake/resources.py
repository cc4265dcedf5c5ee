"""The kinds this server serves, where, and by which fields they can be selected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Resource:
    """One kind. ``fields`` are its field selectors beside metadata.name and metadata.namespace."""

    group: str
    version: str
    plural: str
    kind: str
    fields: frozenset[str] = frozenset()
    namespaced: bool = True
    subresources: frozenset[str] = field(default_factory=frozenset)

    @property
    def api_version(self) -> str:
        """``batch/v1``, or ``v1`` of the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def title(self) -> str:
        """As messages call it: ``jobs.batch``, ``pods``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


JOBS = Resource(
    "batch", "v1", "jobs", "Job", frozenset({"status.successful"}), True, frozenset({"status"})
)
PODS = Resource(
    "",
    "v1",
    "pods",
    "Pod",
    frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
        }
    ),
    True,
    frozenset({"status", "log", "eviction"}),
)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS = Resource(
    "",
    "v1",
    "events",
    "Event",
    frozenset(
        {
            "involvedObject.kind",
            "involvedObject.name",
            "involvedObject.namespace",
            "involvedObject.uid",
            "reason",
            "reportingComponent",
            "type",
        }
    ),
)
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS = Resource("", "v1", "secrets", "Secret", frozenset({"type"}))
RESOURCEQUOTAS = Resource(
    "", "v1", "resourcequotas", "ResourceQuota", subresources=frozenset({"status"})
)
NODES = Resource("", "v1", "nodes", "Node", frozenset({"spec.unschedulable"}), namespaced=False)
WORKLOADS = Resource("kueue.x-k8s.io", "v1beta2", "workloads", "Workload")

SERVED: Mapping[tuple[str, str, str], Resource] = {
    (found.group, found.version, found.plural): found
    for found in (JOBS, PODS, LEASES, EVENTS, CONFIGMAPS, SECRETS, RESOURCEQUOTAS, NODES)
}


def read_path(document: Mapping[str, Any], dotted: str) -> Any:
    """The value under ``a.b.c``; None where any step is missing."""
    found: Any = document
    for step in dotted.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(step)
    return found
