"""Owners that have gone and Jobs that are over: what is collected, and when."""

from __future__ import annotations

from collections.abc import Callable

from tests.kubefake.api import delete_object
from tests.kubefake.resources import CONFIGMAPS, EVENTS, JOBS, LEASES, PODS, SECRETS, Resource
from tests.kubefake.store import Change, Document, ObjectStore

_DEPENDENTS = (PODS, JOBS, CONFIGMAPS, SECRETS, LEASES, EVENTS)
_COLLECT_S = 0.2


class GarbageCollector:
    """Deletes what lost its owner, carries out Foreground and Orphan, ends Jobs by their TTL."""

    def __init__(
        self, store: ObjectStore, delete_pod: Callable[[Document, int | None], Document]
    ) -> None:
        self._store = store
        self._clock = store.clock
        self._delete_pod = delete_pod
        store.listeners.append(self._heard)

    def _heard(self, change: Change) -> None:
        meta = change.document["metadata"]
        if change.kind == "DELETED":
            self._clock.after(_COLLECT_S, lambda: self._collect(meta["uid"]))
            for owner in meta.get("ownerReferences", ()):
                self._clock.after(_COLLECT_S, lambda uid=owner["uid"]: self._release(uid))  # type: ignore[misc]
        elif meta.get("deletionTimestamp") and meta.get("finalizers"):
            self._clock.after(_COLLECT_S, lambda: self._propagate(change.resource, meta))
        if change.kind == "ADDED":
            for owner in meta.get("ownerReferences", ()):
                if not self._store.has_uid(owner["uid"]):
                    self._clock.after(_COLLECT_S, lambda uid=owner["uid"]: self._collect(uid))  # type: ignore[misc]
        if change.resource is JOBS and change.kind == "MODIFIED":
            self._plan_end(change.document)

    def _collect(self, uid: str) -> None:
        if self._store.has_uid(uid):
            return
        for resource, found in self._owned(uid):
            owners = found["metadata"]["ownerReferences"]
            if not any(self._store.has_uid(one["uid"]) for one in owners):
                self._delete(resource, found)

    def _delete(self, resource: Resource, found: Document) -> None:
        if found["metadata"].get("deletionTimestamp"):
            return
        if resource is PODS:
            self._delete_pod(found, None)
        else:
            delete_object(self._store, resource, found, "Background")

    def _propagate(self, resource: Resource, meta: Document) -> None:
        held = self._store.find(resource, meta.get("namespace", ""), meta["name"])
        if held is None or held["metadata"]["uid"] != meta["uid"]:
            return
        finalizers = held["metadata"].get("finalizers", ())
        if "orphan" in finalizers:
            for kind, one in self._owned(meta["uid"]):
                one["metadata"]["ownerReferences"] = [
                    ref for ref in one["metadata"]["ownerReferences"] if ref["uid"] != meta["uid"]
                ]
                if not one["metadata"]["ownerReferences"]:
                    del one["metadata"]["ownerReferences"]
                tracking = "batch.kubernetes.io/job-tracking"
                left = [name for name in one["metadata"].get("finalizers", ()) if name != tracking]
                one["metadata"].pop("finalizers", None)
                if left:
                    one["metadata"]["finalizers"] = left
                self._store.replace(kind, one)
            self._unhold(resource, held, "orphan")
        elif "foregroundDeletion" in finalizers:
            for kind, one in self._owned(meta["uid"]):
                self._delete(kind, one)
            self._release(meta["uid"])

    def _release(self, uid: str) -> None:
        """A foreground deletion ends when the last dependent has gone."""
        for job in self._store.list(JOBS):
            meta = job["metadata"]
            if meta["uid"] == uid and "foregroundDeletion" in meta.get("finalizers", ()):
                if not self._owned(uid):
                    self._unhold(
                        JOBS,
                        self._store.get(JOBS, meta["namespace"], meta["name"]),
                        "foregroundDeletion",
                    )
                return

    def _unhold(self, resource: Resource, held: Document, finalizer: str) -> None:
        left = [one for one in held["metadata"]["finalizers"] if one != finalizer]
        held["metadata"]["finalizers"] = left
        if not left:
            del held["metadata"]["finalizers"]
        self._store.replace(resource, held)

    def _plan_end(self, job: Document) -> None:
        ttl_s = job["spec"].get("ttlSecondsAfterFinished")
        ended = [
            one["lastTransitionTime"]
            for one in job["status"].get("conditions", ())
            if one["type"] in ("Complete", "Failed") and one["status"] == "True"
        ]
        if ttl_s is None or not ended or job["metadata"].get("deletionTimestamp"):
            return
        meta = job["metadata"]
        left_s = self._clock.seconds_of(ended[0]) + ttl_s - self._clock.now_s
        self._clock.after(
            max(0.1, left_s), lambda: self._end(meta["namespace"], meta["name"], meta["uid"])
        )

    def _end(self, namespace: str, name: str, uid: str) -> None:
        held = self._store.find(JOBS, namespace, name)
        if (
            held is None
            or held["metadata"]["uid"] != uid
            or held["metadata"].get("deletionTimestamp")
        ):
            return
        if held["spec"].get("ttlSecondsAfterFinished") is not None:
            delete_object(self._store, JOBS, held, "Foreground")

    def _owned(self, uid: str) -> list[tuple[Resource, Document]]:
        return [(kind, one) for kind in _DEPENDENTS for one in self._store.owned(kind, uid)]
