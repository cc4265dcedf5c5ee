"""The verbs of the API on the object store: what HTTP asks, without HTTP.

Every answer is (status, object, warnings). Refusals are raised.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.kubefake import defaults, refusals, schema, validation
from tests.kubefake.access import Access
from tests.kubefake.patches import apply_patch
from tests.kubefake.resources import JOBS, LEASES, PODS, Resource
from tests.kubefake.selectors import Matches, read_field_selector, read_label_selector
from tests.kubefake.store import Document, ObjectStore

ORPHAN_WARNING = (
    '299 - "child pods are preserved by default when jobs are deleted; set '
    "propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this "
    'warning"'
)


@dataclass(frozen=True)
class Answer:
    """What goes back. ``warnings`` become Warning headers."""

    status: int
    body: Document
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """One request, parsed: which object of which kind, and the query."""

    resource: Resource
    namespace: str
    name: str
    sub: str
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def dry_run(self) -> bool:
        """Nothing is to be kept."""
        return self.query.get("dryRun") == "All"


class Api:
    """Reading and writing, with validation. Use it under the clock's lock."""

    def __init__(self, store: ObjectStore, access: Access) -> None:
        self.store = store
        self.access = access
        #: Called before a new object is kept: may raise RefusedError 403 (quota, PodSecurity).
        self.admission: list[Callable[[Resource, Document], None]] = []
        #: Deletes a pod as the server does, grace period and all; set by the cluster.
        self.delete_pod: Callable[[Document, int | None], Document]

    def get(self, asked: Asked) -> Answer:
        """One object."""
        return Answer(200, self.store.get(asked.resource, asked.namespace, asked.name))

    def list(self, asked: Asked) -> Answer:
        """A page of a collection."""
        query = asked.query
        items = [copy.deepcopy(one) for one in self._selected(asked)]
        selected = bool(query.get("labelSelector") or query.get("fieldSelector"))
        version = self.store.version
        start = ""
        token = query.get("continue")
        if token:
            if query.get("resourceVersion"):
                raise refusals.bad_request(
                    "specifying resource version is not allowed when using continue"
                )
            version, start = self._read_token(token)
        wanted = query.get("resourceVersion", "")
        if wanted and wanted != "0" and int(wanted) > self.store.version:
            raise refusals.RefusedError(
                504,
                "Timeout",
                f"Timeout: Too large resource version: {wanted}, current: {self.store.version}",
                details={
                    "causes": [
                        {
                            "reason": "ResourceVersionTooLarge",
                            "message": "Too large resource version",
                        }
                    ],
                    "retryAfterSeconds": 1,
                },
                headers={"Retry-After": "1"},
            )
        items = [one for one in items if one["metadata"]["name"] > start]
        limit = int(query.get("limit") or 0)
        meta: Document = {"resourceVersion": str(version)}
        if limit and wanted != "0" and len(items) > limit:
            left = len(items) - limit
            items = items[:limit]
            last = items[-1]["metadata"]["name"]
            meta["continue"] = _token(version, last)
            if not selected:
                meta["remainingItemCount"] = left
        for one in items:
            one.pop("kind", None)
            one.pop("apiVersion", None)
        return Answer(
            200,
            {
                "kind": f"{asked.resource.kind}List",
                "apiVersion": asked.resource.api_version,
                "metadata": meta,
                "items": items,
            },
        )

    def matcher(self, asked: Asked) -> Matches:
        """The selectors of a request as one test. Raises RefusedError 400."""
        by_label = read_label_selector(asked.query.get("labelSelector", ""))
        by_field = read_field_selector(asked.query.get("fieldSelector", ""), asked.resource)
        return lambda found: by_label(found) and by_field(found)

    def create(self, asked: Asked, document: Document) -> Answer:
        """POST of a collection."""
        resource = asked.resource
        warnings = self._read_body(asked, document)
        named = document.get("metadata", {}).get("namespace")
        if named and named != asked.namespace:
            raise refusals.bad_request(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
        document.setdefault("metadata", {})
        if document["metadata"].get("resourceVersion"):
            raise refusals.bad_request("resourceVersion should not be set on objects to be created")
        document.pop("status", None)
        if not document["metadata"].get("name") and document["metadata"].get("generateName"):
            probe = {**document, "metadata": {**document["metadata"], "name": "generated"}}
            validation.check_new(resource, probe)
        else:
            validation.check_new(resource, document)
        made = self.store.prepare(resource, asked.namespace, document)
        defaults.fill_in(resource, made)
        for admit in self.admission:
            admit(resource, made)
        if asked.dry_run:
            return Answer(201, made, warnings)
        return Answer(201, self.store.create(resource, asked.namespace, made), warnings)

    def replace(self, asked: Asked, document: Document) -> Answer:
        """PUT."""
        warnings = self._read_body(asked, document)
        held = self.store.get(asked.resource, asked.namespace, asked.name)
        meta = document.setdefault("metadata", {})
        if meta.get("name") != asked.name:
            raise refusals.bad_request(
                f"the name of the object ({meta.get('name')}) does not match the name on the URL "
                f"({asked.name})"
            )
        if asked.resource is LEASES and not meta.get("resourceVersion"):
            told = "Invalid value: 0: must be specified for an update"
            cause = ("FieldValueInvalid", "metadata.resourceVersion", told)
            raise refusals.invalid(asked.resource, asked.name, [cause])
        meta.setdefault("namespace", asked.namespace)
        return self._keep(asked, held, document, warnings)

    def patch(self, asked: Asked, patch: Any, content_type: str) -> Answer:
        """PATCH of metadata, spec or (subresource) status."""
        held = self.store.get(asked.resource, asked.namespace, asked.name)
        made = apply_patch(held, patch, content_type)
        warnings = self._read_body(asked, made)
        if asked.sub == "status":
            made = {**held, "status": made.get("status", {})}
        return self._keep(asked, held, made, warnings)

    def delete(self, asked: Asked, options: Document) -> Answer:
        """DELETE of one object, with its propagation, preconditions and grace period."""
        warnings: tuple[str, ...] = ()
        policy = options.get("propagationPolicy") or asked.query.get("propagationPolicy")
        if asked.resource is JOBS and policy is None:
            warnings = (ORPHAN_WARNING,)
            policy = "Orphan"
        held = self.store.find(asked.resource, asked.namespace, asked.name)
        if held is None:
            refusal = refusals.not_found(asked.resource, asked.name)
            if warnings:
                refusal.headers["Warning"] = warnings[0]
            raise refusal
        self._preconditions(asked, held, options)
        if asked.dry_run:
            return Answer(200, held, warnings)
        if asked.resource is PODS:
            text = options.get("gracePeriodSeconds", asked.query.get("gracePeriodSeconds"))
            return Answer(200, self.delete_pod(held, None if text is None else int(text)), warnings)
        gone = delete_object(self.store, asked.resource, held, policy or "Background")
        if gone["metadata"].get("deletionTimestamp"):
            return Answer(200, gone, warnings)
        details = {
            "name": asked.name,
            "kind": asked.resource.plural,
            "uid": gone["metadata"]["uid"],
        }
        if asked.resource.group:
            details["group"] = asked.resource.group
        body = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }
        return Answer(200, body, warnings)

    def _selected(self, asked: Asked) -> list[Document]:
        matches = self.matcher(asked)
        return [
            one for one in self.store.list(asked.resource, asked.namespace or None) if matches(one)
        ]

    def _keep(
        self, asked: Asked, held: Document, made: Document, warnings: tuple[str, ...]
    ) -> Answer:
        if asked.sub != "status":
            if "status" in held:
                made["status"] = held["status"]
            for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
                if name in held["metadata"]:
                    made["metadata"][name] = held["metadata"][name]
            validation.check_change(asked.resource, held, made)
        if asked.dry_run:
            return Answer(200, made, warnings)
        return Answer(200, self.store.replace(asked.resource, made), warnings)

    def _read_body(self, asked: Asked, document: Document) -> tuple[str, ...]:
        resource = asked.resource
        if document.get("kind") and document["kind"] != resource.kind:
            raise refusals.bad_request(
                f"the object provided is unrecognized (must be of type {resource.kind})"
            )
        version = document.get("apiVersion")
        if version and version != resource.api_version:
            raise refusals.bad_request(
                f"the API version in the data ({version}) does not match the expected API version "
                f"({resource.api_version})"
            )
        unknown = schema.check_types(resource, document)
        validation_level = asked.query.get("fieldValidation", "Warn")
        if unknown and validation_level == "Strict":
            raise schema.refuse_unknown(resource, unknown)
        if validation_level == "Ignore":
            return ()
        return tuple(f'299 - "unknown field \\"{path}\\""' for path in unknown)

    def _preconditions(self, asked: Asked, held: Document, options: Document) -> None:
        wanted = options.get("preconditions") or {}
        if wanted.get("uid") not in (None, held["metadata"]["uid"]):
            why = (
                f"Precondition failed: UID in precondition: {wanted['uid']}, UID in object meta: "
                f"{held['metadata']['uid']}"
            )
            raise refusals.conflict(asked.resource, asked.name, why)
        if wanted.get("resourceVersion") not in (None, held["metadata"]["resourceVersion"]):
            raise refusals.conflict(asked.resource, asked.name, refusals.STALE)

    def _read_token(self, token: str) -> tuple[int, str]:
        try:
            padded = token + "=" * (-len(token) % 4)
            found = json.loads(base64.urlsafe_b64decode(padded))
            version, start = int(found["rv"]), str(found["start"]).rstrip("\0").lstrip("/")
        except (ValueError, KeyError, TypeError) as error:
            raise refusals.bad_request(
                f"invalid continue token: continue key is not valid: {error}"
            ) from None
        if version == -1:
            return self.store.version, start
        if version < self.store.compacted_to:
            refusal = refusals.expired(
                "The provided continue parameter is too old to display a consistent list result. "
                "You can start a new list without the continue parameter, or use the continue "
                "token in this response to retrieve the remainder of the results."
            )
            refusal.body["metadata"]["continue"] = _token(-1, start)
            raise refusal
        return version, start


def _token(version: int, last: str) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": f"{last}\0"})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def delete_object(store: ObjectStore, resource: Resource, held: Document, policy: str) -> Document:
    """Delete anything but a pod: at once, or held by a finalizer of its propagation."""
    meta = held["metadata"]
    keeps = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(policy)
    if keeps and store.owned(PODS, meta["uid"]) and keeps not in meta.get("finalizers", ()):
        meta.setdefault("finalizers", []).append(keeps)
    if meta.get("finalizers"):
        if not meta.get("deletionTimestamp"):
            meta["deletionTimestamp"] = store.clock.stamp()
            meta["deletionGracePeriodSeconds"] = 0
            if "generation" in meta:
                meta["generation"] += 1
        return store.replace(resource, held)
    return store.remove(resource, meta.get("namespace", ""), meta["name"])
