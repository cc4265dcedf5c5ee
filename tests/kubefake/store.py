"""What the server remembers: objects, their versions, and the history that watches replay.

Every change gets the next resourceVersion, one counter for all kinds, as etcd does. What is kept is
never handed out: callers get copies.
"""

from __future__ import annotations

import copy
import random
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.kubefake import refusals
from tests.kubefake.clock import VirtualClock
from tests.kubefake.resources import PODS, Resource

Document = dict[str, Any]
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
_FIRST_VERSION = 100


@dataclass(frozen=True)
class Change:
    """One line of history. ``document`` is never changed afterwards."""

    version: int
    kind: str  # ADDED, MODIFIED, DELETED
    resource: Resource
    document: Document
    before: Document | None = None


class ObjectStore:
    """All objects of the server. Use it under ``clock.lock``."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.changed = threading.Condition(clock.lock)
        self.version = _FIRST_VERSION
        self.history: list[Change] = []
        #: History up to this version is gone: whoever asks from there gets a 410.
        self.compacted_to = 0
        self.listeners: list[Callable[[Change], None]] = []
        self._objects: dict[Resource, dict[tuple[str, str], Document]] = {}
        self._random = random.Random(20261128)

    def get(self, resource: Resource, namespace: str, name: str) -> Document:
        """A copy. Raises RefusedError 404."""
        found = self._objects.get(resource, {}).get((namespace, name))
        if found is None:
            raise refusals.not_found(resource, name)
        return copy.deepcopy(found)

    def find(self, resource: Resource, namespace: str, name: str) -> Document | None:
        """A copy, or None."""
        found = self._objects.get(resource, {}).get((namespace, name))
        return None if found is None else copy.deepcopy(found)

    def list(self, resource: Resource, namespace: str | None = None) -> list[Document]:
        """Everything of a kind in order of namespace and name. Read it only."""
        kept = self._objects.get(resource, {})
        return [kept[key] for key in sorted(kept) if namespace in (None, key[0])]

    def owned(self, resource: Resource, uid: str) -> list[Document]:
        """Copies of what ``uid`` owns, in order of creation."""
        found = [
            one
            for one in self._objects.get(resource, {}).values()
            if any(ref["uid"] == uid for ref in one["metadata"].get("ownerReferences", ()))
        ]
        return copy.deepcopy(found)

    def has_uid(self, uid: str) -> bool:
        """Whether any object has it."""
        return any(
            one["metadata"]["uid"] == uid
            for kept in self._objects.values()
            for one in kept.values()
        )

    def prepare(self, resource: Resource, namespace: str, document: Mapping[str, Any]) -> Document:
        """The object as it would be created: names, uid and times filled in. Raises 409."""
        made = copy.deepcopy(dict(document))
        meta = made.setdefault("metadata", {})
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + "".join(self._random.choices(_SUFFIX, k=5))
        holder = self.find(resource, namespace, meta["name"])
        if holder is not None:
            deleting = bool(holder["metadata"].get("deletionTimestamp"))
            raise refusals.already_exists(resource, meta["name"], deleting=deleting)
        if resource.namespaced:
            meta["namespace"] = namespace
        meta["uid"] = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        meta["creationTimestamp"] = self.clock.stamp()
        made.setdefault("kind", resource.kind)
        made.setdefault("apiVersion", resource.api_version)
        return made

    def create(self, resource: Resource, namespace: str, document: Mapping[str, Any]) -> Document:
        """Keep a new object. Raises RefusedError 409 AlreadyExists."""
        made = self.prepare(resource, namespace, document)
        key = (made["metadata"].get("namespace", ""), made["metadata"]["name"])
        self._objects.setdefault(resource, {})[key] = made
        self._record("ADDED", resource, made)
        return copy.deepcopy(made)

    def replace(self, resource: Resource, document: Mapping[str, Any]) -> Document:
        """Keep a changed object. No change, no new version. Raises 404, 409 and 422 of versions."""
        meta = document["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        held = self._objects.get(resource, {}).get(key)
        if held is None:
            raise refusals.not_found(resource, meta["name"])
        if meta.get("uid", held["metadata"]["uid"]) != held["metadata"]["uid"]:
            why = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: "
            raise refusals.conflict(resource, meta["name"], why + held["metadata"]["uid"])
        wanted = meta.get("resourceVersion")
        if wanted and wanted != held["metadata"]["resourceVersion"]:
            raise refusals.conflict(resource, meta["name"], refusals.STALE)
        kept = copy.deepcopy(dict(document))
        kept["metadata"]["resourceVersion"] = held["metadata"]["resourceVersion"]
        for name in ("uid", "creationTimestamp"):
            kept["metadata"][name] = held["metadata"][name]
        if kept == held:
            return copy.deepcopy(held)
        if _spec(kept) != _spec(held) and "generation" in held["metadata"]:
            kept["metadata"]["generation"] = held["metadata"]["generation"] + 1
        self._objects[resource][key] = kept
        if _is_free(resource, kept):
            self._drop(resource, key, kept, held)
        else:
            self._record("MODIFIED", resource, kept, held)
        return copy.deepcopy(kept)

    def change(
        self, resource: Resource, namespace: str, name: str, edit: Callable[[Document], None]
    ) -> Document | None:
        """Edit the newest copy in place; None where it has gone. For the simulator's own parts."""
        held = self.find(resource, namespace, name)
        if held is None:
            return None
        edit(held)
        return self.replace(resource, held)

    def remove(self, resource: Resource, namespace: str, name: str) -> Document:
        """Take it away at once, whatever holds it. Raises 404."""
        held = self.get(resource, namespace, name)
        self._drop(resource, (namespace if resource.namespaced else "", name), held, held)
        return held

    def compact(self) -> None:
        """Forget the history, as after a restart of the server: older watches get their 410."""
        self.compacted_to = self.version
        self.history.clear()
        self.changed.notify_all()

    def _drop(
        self, resource: Resource, key: tuple[str, str], last: Document, before: Document
    ) -> None:
        del self._objects[resource][key]
        self._record("DELETED", resource, last, before)

    def _record(
        self, kind: str, resource: Resource, document: Document, before: Document | None = None
    ) -> None:
        self.version += 1
        document["metadata"]["resourceVersion"] = str(self.version)
        change = Change(self.version, kind, resource, copy.deepcopy(document), before)
        self.history.append(change)
        self.changed.notify_all()
        for listen in self.listeners:
            listen(change)


def _spec(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a generation counts the changes of; a binding is none."""
    return {key: value for key, value in (document.get("spec") or {}).items() if key != "nodeName"}


def _is_free(resource: Resource, document: Mapping[str, Any]) -> bool:
    """Deleted and held by nothing: finalizers, and of a pod its grace period."""
    meta = document["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers"):
        return False
    return resource is not PODS or meta.get("deletionGracePeriodSeconds", 0) == 0
