"""The nodes of the fake, the scheduler that fills them, and the controllers that miss them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.kubefake.clock import VirtualClock
from tests.kubefake.news import News
from tests.kubefake.pod_status import set_condition
from tests.kubefake.quantities import read_quantity
from tests.kubefake.resources import PODS
from tests.kubefake.script import Scripts
from tests.kubefake.store import Change, Document, ObjectStore

_PREEMPTION = (
    " no new claims to deallocate, preemption: 0/{n} nodes are available: {n} Preemption is not "
    "helpful for scheduling."
)
_NOTICED_AFTER_S = 43.0
_RETRY_S = 5.0


@dataclass
class Node:
    """One machine. ``present`` False: its kubelet is silent. ``deleted``: its object has gone."""

    name: str
    capacity: Mapping[str, Any] = field(
        default_factory=lambda: {"cpu": "64", "memory": "512Gi", "pods": "250"}
    )
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: list[dict[str, str]] = field(default_factory=list)
    unschedulable: bool = False
    present: bool = True
    ready: bool = True
    deleted: bool = False

    def why_not(self, pod: Document, taken: Mapping[str, float]) -> str:
        """Why the pod cannot go here, in the scheduler's words; empty when it can."""
        spec = pod["spec"]
        if self.unschedulable:
            return "node(s) were unschedulable"
        if not self.ready:
            return "node(s) had untolerated taint(s)"
        for taint in self.taints:
            if taint["effect"] != "PreferNoSchedule" and not _tolerates(spec, taint):
                return "node(s) had untolerated taint(s)"
        labels = {"kubernetes.io/hostname": self.name, **self.labels}
        wanted = spec.get("nodeSelector") or {}
        if any(labels.get(key) != value for key, value in wanted.items()) or not _affine(
            spec, labels
        ):
            return "node(s) didn't match Pod's node affinity/selector"
        for name, asked in requests_of(spec).items():
            if asked + taken.get(name, 0.0) > (read_quantity(self.capacity.get(name)) or 0.0):
                return f"Insufficient {name}"
        return ""


def requests_of(spec: Document) -> dict[str, float]:
    """What a pod asks for, per resource."""
    found: dict[str, float] = {}
    for container in spec["containers"]:
        for name, text in ((container.get("resources") or {}).get("requests") or {}).items():
            if name != "ephemeral-storage":
                found[name] = found.get(name, 0.0) + (read_quantity(text) or 0.0)
    return found


class Scheduler:
    """Binds pending pods to nodes; says why not in their conditions, and tries again."""

    def __init__(
        self, store: ObjectStore, news: News, nodes: Mapping[str, Node], scripts: Scripts
    ) -> None:
        self._store = store
        self._clock: VirtualClock = store.clock
        self._news = news
        self._nodes = nodes
        self._scripts = scripts
        self.away = False
        store.listeners.append(self._heard)

    def _heard(self, change: Change) -> None:
        if change.resource is PODS and change.kind == "ADDED":
            self._plan(change.document, 0.03)

    def _plan(self, pod: Document, delay_s: float) -> None:
        meta = pod["metadata"]
        began_s = self._clock.now_s
        self._clock.after(
            delay_s, lambda: self._bind(meta["namespace"], meta["name"], began_s + delay_s)
        )

    def _bind(self, namespace: str, name: str, _at_s: float) -> None:
        pod = self._store.find(PODS, namespace, name)
        if pod is None or pod["spec"].get("nodeName"):
            return
        if self.away or pod["spec"].get("schedulingGates"):
            self._plan(pod, _RETRY_S)
            return
        why, node = self._choose(pod)
        now = self._clock.stamp()
        if node is None:
            self._say_why_not(pod, why, now)
            self._plan(pod, _RETRY_S)
            return

        def bind(document: Document) -> None:
            document["spec"]["nodeName"] = node.name
            set_condition(document["status"], "PodScheduled", "True", now)

        self._store.change(PODS, namespace, name, bind)
        said = f"Successfully assigned {namespace}/{name} to {node.name}"
        self._news.tell(pod, PODS, "default-scheduler", ("Normal", "Scheduled", said))

    def _choose(self, pod: Document) -> tuple[str, Node | None]:
        script = self._scripts(pod)
        if script.unschedulable:
            created_s = self._clock.seconds_of(pod["metadata"]["creationTimestamp"])
            over = script.schedulable_after_s
            if over is None or self._clock.now_s < created_s + over:
                return script.unschedulable, None
        reasons: list[str] = []
        nodes = [one for one in self._nodes.values() if not one.deleted]
        for node in nodes:
            why = node.why_not(pod, self._taken(node.name))
            if not why:
                return "", node
            reasons.append(why)
        counted = ", ".join(f"{reasons.count(why)} {why}" for why in sorted(set(reasons)))
        n = len(nodes)
        return f"0/{n} nodes are available: {counted}." + _PREEMPTION.format(n=n), None

    def _taken(self, node: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for pod in self._store.list(PODS):
            if pod["spec"].get("nodeName") == node and pod["status"]["phase"] in (
                "Pending",
                "Running",
            ):
                for name, asked in requests_of(pod["spec"]).items():
                    found[name] = found.get(name, 0.0) + asked
        return found

    def _say_why_not(self, pod: Document, why: str, now: str) -> None:
        meta = pod["metadata"]

        def edit(document: Document) -> None:
            set_condition(
                document["status"],
                "PodScheduled",
                "False",
                now,
                reason="Unschedulable",
                message=why,
                generation=meta["generation"],
            )

        self._store.change(PODS, meta["namespace"], meta["name"], edit)
        self._news.tell(pod, PODS, "default-scheduler", ("Warning", "FailedScheduling", why))


class NodeController:
    """Notices nodes that fall silent or go: readiness, taints and evictions, and PodGC."""

    def __init__(
        self,
        store: ObjectStore,
        nodes: Mapping[str, Node],
        delete: Callable[[Document, int | None], Document],
    ) -> None:
        self._store = store
        self._clock = store.clock
        self._nodes = nodes
        self._delete = delete

    def went_silent(self, node: Node, *, evict: bool) -> None:
        """Its kubelet has stopped. ``evict`` False: no other node is left, so nobody is evicted."""
        self._clock.after(_NOTICED_AFTER_S, lambda: self._unreachable(node, evict=evict))

    def was_deleted(self, node: Node) -> None:
        """Its Node object has gone: its pods are collected."""
        self._clock.after(_NOTICED_AFTER_S, lambda: self._collect(node))

    def evict(self, pod: Document, reason: str, message: str) -> None:
        """Disrupt a pod, then delete it with its grace period."""
        self._disrupt(pod, reason, message)
        held = self._store.find(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
        if held is not None:
            self._delete(held, None)

    def _pods_of(self, node: Node) -> list[Document]:
        return [one for one in self._store.list(PODS) if one["spec"].get("nodeName") == node.name]

    def _unreachable(self, node: Node, *, evict: bool) -> None:
        if node.present:
            return
        node.ready = False
        now = self._clock.stamp()
        for pod in self._pods_of(node):
            meta = pod["metadata"]
            if pod["status"]["phase"] != "Running":
                continue

            def unready(document: Document) -> None:
                generation = document["metadata"]["generation"]
                set_condition(document["status"], "Ready", "False", now, generation=generation)

            self._store.change(PODS, meta["namespace"], meta["name"], unready)
            if evict:
                self._clock.after(_patience_s(pod), lambda pod=pod: self._taint_eviction(node, pod))  # type: ignore[misc]

    def _taint_eviction(self, node: Node, pod: Document) -> None:
        held = self._store.find(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
        if held is None or node.ready or held["metadata"].get("deletionTimestamp"):
            return
        words = "Taint manager: deleting due to NoExecute taint"
        self.evict(held, "DeletionByTaintManager", words)

    def _collect(self, node: Node) -> None:
        for pod in list(self._pods_of(node)):
            meta = pod["metadata"]
            self._disrupt(pod, "DeletionByPodGC", "PodGC: node no longer exists")

            def failed(document: Document) -> None:
                document["status"]["phase"] = "Failed"

            held = self._store.change(PODS, meta["namespace"], meta["name"], failed)
            if held is not None:
                self._delete(held, 0)

    def _disrupt(self, pod: Document, reason: str, message: str) -> None:
        meta, now = pod["metadata"], self._clock.stamp()

        def edit(document: Document) -> None:
            set_condition(
                document["status"],
                "DisruptionTarget",
                "True",
                now,
                reason=reason,
                message=message,
                # The eviction subresource alone does not say of which generation it speaks.
                generation=None
                if reason == "EvictionByEvictionAPI"
                else document["metadata"]["generation"],
            )

        self._store.change(PODS, meta["namespace"], meta["name"], edit)


def _patience_s(pod: Document) -> float:
    for one in pod["spec"].get("tolerations", ()):
        if one.get("key") == "node.kubernetes.io/unreachable":
            return float(one.get("tolerationSeconds", 1e9))
    return 0.0


def _tolerates(spec: Document, taint: Mapping[str, str]) -> bool:
    for one in spec.get("tolerations") or ():
        key = one.get("key")
        same = key in (None, taint["key"]) and one.get("effect") in (None, "", taint["effect"])
        exists = one.get("operator", "Equal") == "Exists"
        if same and (exists or one.get("value", "") == taint.get("value", "")):
            return True
    return False


def _affine(spec: Document, labels: Mapping[str, str]) -> bool:
    wanted = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if not wanted:
        return True
    return any(
        all(_expression(one, labels) for one in term.get("matchExpressions", ()))
        for term in wanted["nodeSelectorTerms"]
    )


def _expression(one: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    found, values = labels.get(one["key"]), one.get("values", ())
    return {
        "In": found in values,
        "NotIn": found not in values,
        "Exists": found is not None,
        "DoesNotExist": found is None,
    }[one["operator"]]
