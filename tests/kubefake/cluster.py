"""The fake, put together: server, controllers, kubelets, and the handles a test steers it by."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from kubernetes import client

from tests.kubefake import refusals
from tests.kubefake.access import Access
from tests.kubefake.api import Answer, Api, Asked
from tests.kubefake.clock import LiveClock, VirtualClock
from tests.kubefake.garbage import GarbageCollector
from tests.kubefake.job_controller import JobController, PodDoor
from tests.kubefake.kubelet import Kubelet
from tests.kubefake.news import News
from tests.kubefake.nodes import Node, NodeController, Scheduler, requests_of
from tests.kubefake.processes import ImageStandIn, ProcessRuntime
from tests.kubefake.quantities import read_quantity
from tests.kubefake.resources import JOBS, PODS, RESOURCEQUOTAS, Resource
from tests.kubefake.script import Script
from tests.kubefake.server import Server
from tests.kubefake.store import Document, ObjectStore
from tests.kubefake.surface import Surface

NAMESPACE = "facility"
TOKEN = "kubefake-token"
_SCRIPT = Script()


def kubeconfig(server: str) -> Document:
    """A kubeconfig of the fake at ``server``, its own URL or that of a proxy before it."""
    context = {"cluster": "it", "user": "me", "namespace": NAMESPACE}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": TOKEN}}],
        "contexts": [{"name": "it", "context": context}],
    }


class KubeFake:
    """One API server with one namespace, ``facility``, and one node, ``node1``.

    ``role`` is a Role document: what it does not grant is refused (None grants all). ``speed`` 0
    lets time stand still until ``advance``; otherwise it runs that many times as fast as ours.
    """

    def __init__(
        self,
        *,
        role: Mapping[str, Any] | None = None,
        speed: float = 0.0,
        script: Callable[[Document], Script] | Script = _SCRIPT,
    ) -> None:
        self.clock = VirtualClock()
        self.store = ObjectStore(self.clock)
        self.nodes: dict[str, Node] = {"node1": Node("node1")}
        self.script = script
        #: Scripts by the Job's name, one for each of its pods in turn (the last one stays).
        self.scripts: dict[str, list[Script]] = {}
        self._chosen: dict[str, Script] = {}
        self.access = Access(role, account=f"system:serviceaccount:{NAMESPACE}:controller")
        self._api = Api(self.store, self.access)
        self._door = PodDoor(self.store)
        self._api.delete_pod = self._door.delete
        self._api.admission.append(self._within_quota)
        self._door.create = self._create_pod  # type: ignore[method-assign]
        news = News(self.store)
        self.kubelet = Kubelet(self.store, news, self.nodes, self._script_of)
        self.scheduler = Scheduler(self.store, news, self.nodes, self._script_of)
        self.job_controller = JobController(self.store, news, self._door)
        self.garbage = GarbageCollector(self.store, self._door.delete)
        self.node_controller = NodeController(self.store, self.nodes, self._door.delete)
        self.surface = Surface(self._evict, self.kubelet.log)
        self.server = Server(self._api, self.surface, TOKEN)
        self._thread = threading.Thread(
            target=lambda: self.server.serve_forever(poll_interval=0.05), daemon=True
        )
        self._live = LiveClock(self.clock, speed=speed) if speed else None

    def __enter__(self) -> KubeFake:
        self._thread.start()
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
        self.server.closing = True
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.server.url

    def client(self, url: str = "") -> client.ApiClient:
        """The official client, configured for this server (or for a proxy before it)."""
        configuration = client.Configuration()
        configuration.host = url or self.url
        configuration.api_key = {"authorization": f"Bearer {TOKEN}"}
        configuration.retries = False
        return client.ApiClient(configuration)

    # --- time and looks ----------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    def job(self, name: str) -> Document:
        """A Job as it stands. Raises RefusedError 404."""
        with self.clock.lock:
            return self.store.get(JOBS, NAMESPACE, name)

    def pods_of(self, job: str) -> list[Document]:
        """The pods that bear the Job's name, oldest first."""
        with self.clock.lock:
            found = self.store.list(PODS, NAMESPACE)
            mine = [
                one for one in found if one["metadata"].get("labels", {}).get("job-name") == job
            ]
            return sorted(mine, key=lambda one: str(one["metadata"]["creationTimestamp"]))

    def forget_history(self) -> None:
        """Let go of what only watches and tests read, for runs of many thousand objects."""
        with self.clock.lock:
            self.store.history.clear()

    def put(self, resource: Resource, document: Mapping[str, Any]) -> Document:
        """Keep an object past the API: no validation, no defaults."""
        with self.clock.lock:
            return self.store.create(resource, NAMESPACE, document)

    # --- what befalls the cluster -------------------------------------------------------------

    def delete_pod(self, name: str, grace_s: int | None = None) -> None:
        """As ``kubectl delete pod`` does."""
        with self.clock.lock:
            self._door.delete(self.store.get(PODS, NAMESPACE, name), grace_s)

    def disrupt_pod(self, name: str, reason: str, message: str) -> None:
        """DisruptionTarget, then deletion: preemption, an eviction, a taint."""
        with self.clock.lock:
            self.node_controller.evict(self.store.get(PODS, NAMESPACE, name), reason, message)

    def lose_node(self, name: str = "node1", *, evict: bool = True) -> None:
        """Its kubelet falls silent; what runs on it goes on."""
        with self.clock.lock:
            self.nodes[name].present = False
            self.node_controller.went_silent(self.nodes[name], evict=evict)

    def restore_node(self, name: str = "node1") -> None:
        """Its kubelet is back and tells what happened."""
        with self.clock.lock:
            self.nodes[name].present = self.nodes[name].ready = True
            self.kubelet.report_all(name)

    def delete_node(self, name: str = "node1") -> None:
        """Its Node object goes, and the machine with it."""
        with self.clock.lock:
            self.nodes[name].present = self.nodes[name].ready = False
            self.nodes[name].deleted = True
            self.node_controller.was_deleted(self.nodes[name])

    def restart_server(self) -> None:
        """All history is gone: every old resourceVersion is answered 410, every watch ends."""
        with self.clock.lock:
            self.store.compact()

    @contextmanager
    def processes(
        self, folder: Path, images: Mapping[str, ImageStandIn]
    ) -> Iterator[ProcessRuntime]:
        """Within it, containers of ``images`` are real processes below ``folder``."""
        scripts, made = self.kubelet.runtime, ProcessRuntime(self.clock, self.store, folder, images)
        self.kubelet.runtime = made
        try:
            yield made
        finally:
            self.kubelet.runtime = scripts
            made.close()

    # --- inside ------------------------------------------------------------------------------

    def _script_of(self, pod: Document) -> Script:
        uid = pod["metadata"]["uid"]
        if uid not in self._chosen:
            listed = self.scripts.get(pod["metadata"].get("labels", {}).get("job-name", ""))
            if listed:
                chosen = listed.pop(0) if len(listed) > 1 else listed[0]
            else:
                chosen = self.script if isinstance(self.script, Script) else self.script(pod)
            self._chosen[uid] = chosen
        return self._chosen[uid]

    def _create_pod(self, namespace: str, pod: Document) -> Document:
        probe = self.store.prepare(PODS, namespace, pod)
        for admit in self._api.admission:
            admit(PODS, probe)
        return PodDoor.create(self._door, namespace, pod)

    def _evict(self, asked: Asked, body: Any) -> Answer:
        pod = self.store.get(PODS, asked.namespace, asked.name)
        self.node_controller.evict(pod, "EvictionByEvictionAPI", "Eviction API: evicting")
        return Answer(
            201,
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "code": 201,
            },
        )

    def _within_quota(self, resource: Resource, document: Document) -> None:
        """Refuse what a ResourceQuota of the namespace does not leave room for."""
        namespace = document["metadata"]["namespace"]
        for quota in self.store.list(RESOURCEQUOTAS, namespace):
            hard = quota["spec"].get("hard") or {}
            asked = _quota_use(resource, document)
            used: dict[str, float] = {}
            for kind in (PODS, JOBS):
                for one in self.store.list(kind, namespace):
                    if kind is JOBS or one["status"]["phase"] in ("Pending", "Running"):
                        for name, amount in _quota_use(kind, one).items():
                            used[name] = used.get(name, 0.0) + amount
            over = [
                name
                for name, limit in hard.items()
                if name in asked
                and used.get(name, 0.0) + asked[name] > (read_quantity(limit) or 0.0)
            ]
            if over:
                requested = ",".join(f"{name}={asked[name]:g}" for name in over)
                taken = ",".join(f"{name}={used.get(name, 0.0):g}" for name in over)
                limited = ",".join(f"{name}={hard[name]}" for name in over)
                raise refusals.forbidden(
                    resource,
                    document["metadata"]["name"],
                    f"exceeded quota: {quota['metadata']['name']}, requested: {requested}, "
                    f"used: {taken}, limited: {limited}",
                )


def _quota_use(resource: Resource, document: Document) -> dict[str, float]:
    if resource is JOBS:
        return {"count/jobs.batch": 1.0}
    if resource is not PODS:
        return {}
    asked = requests_of(document["spec"])
    return {"pods": 1.0, **asked, **{f"requests.{name}": value for name, value in asked.items()}}


def encode_secret(text: str) -> str:
    """As ``data`` of a Secret holds it."""
    return base64.b64encode(text.encode()).decode()
