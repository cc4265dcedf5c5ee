"""Events: what the controllers tell of what they do."""

from __future__ import annotations

from tests.kubefake.resources import EVENTS, Resource
from tests.kubefake.store import Document, ObjectStore


class News:
    """Writes Events; the same words about the same object are counted up."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._told: dict[tuple[str, str, str], tuple[str, str]] = {}

    def tell(self, subject: Document, of: Resource, by: str, what: tuple[str, str, str]) -> None:
        """``what`` is (type, reason, message); ``by`` the component that says so."""
        kind, reason, message = what
        meta = subject["metadata"]
        key = (meta["uid"], reason, message)
        if key in self._told and self._count_up(*self._told[key]):
            return
        namespace = meta.get("namespace", "default")
        now = self._store.clock.stamp()
        name = f"{meta['name']}.{self._store.version + 1:016x}"
        involved = {
            "kind": of.kind,
            "namespace": namespace,
            "name": meta["name"],
            "uid": meta["uid"],
            "apiVersion": of.api_version,
            "resourceVersion": meta.get("resourceVersion", ""),
        }
        event: Document = {
            "metadata": {"name": name},
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "source": {"component": by},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": kind,
            "eventTime": None,
            "reportingComponent": by,
            "reportingInstance": "",
        }
        self._told[key] = (namespace, name)
        self._store.create(EVENTS, namespace, event)

    def _count_up(self, namespace: str, name: str) -> bool:
        def again(event: Document) -> None:
            event["count"] = event.get("count", 1) + 1
            event["lastTimestamp"] = self._store.clock.stamp()

        return self._store.change(EVENTS, namespace, name, again) is not None
