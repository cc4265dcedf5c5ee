"""What the API answers when it does not do what it was asked: a Status, in the server's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.kubefake.resources import Resource


class RefusedError(Exception):
    """An answer other than 2xx. ``body`` is the Status object."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.headers = dict(headers or {})
        self.body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
        }
        if reason:
            self.body["reason"] = reason
        if details is not None:
            self.body["details"] = dict(details)
        self.body["code"] = code


def _details(resource: Resource, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name}
    if resource.group:
        found["group"] = resource.group
    found["kind"] = resource.plural
    return found


def not_found(resource: Resource, name: str) -> RefusedError:
    """404 of an object."""
    details = _details(resource, name)
    return RefusedError(404, "NotFound", f'{resource.title} "{name}" not found', details=details)


def no_such_path() -> RefusedError:
    """404 of a path: no such group, version or resource on this server."""
    return RefusedError(
        404, "NotFound", "the server could not find the requested resource", details={}
    )


def already_exists(resource: Resource, name: str, *, deleting: bool) -> RefusedError:
    """409: the name is taken, also while the holder is on its way out."""
    message = f'{resource.title} "{name}" already exists'
    if deleting:
        message = f"object is being deleted: {message}"
    return RefusedError(409, "AlreadyExists", message, details=_details(resource, name))


def conflict(resource: Resource, name: str, why: str) -> RefusedError:
    """409: the object is not what the writer thought it was."""
    message = f'Operation cannot be fulfilled on {resource.title} "{name}": {why}'
    return RefusedError(409, "Conflict", message, details=_details(resource, name))


STALE = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def invalid(resource: Resource, name: str, causes: Sequence[tuple[str, str, str]]) -> RefusedError:
    """422: ``causes`` are (reason, field, message)."""
    said = [f"{field}: {message}" for _, field, message in causes]
    text = said[0] if len(said) == 1 else "[" + ", ".join(said) + "]"
    details = {
        "name": name,
        **({"group": resource.group} if resource.group else {}),
        "kind": resource.kind,
        "causes": [{"reason": r, "message": m, "field": f} for r, f, m in causes],
    }
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    return RefusedError(422, "Invalid", f'{kind} "{name}" is invalid: {text}', details=details)


def bad_request(message: str) -> RefusedError:
    """400."""
    return RefusedError(400, "BadRequest", message)


def forbidden(resource: Resource, name: str, why: str) -> RefusedError:
    """403, whoever says so: RBAC, a quota, an admission plug-in."""
    told = (
        f'{resource.title} "{name}" is forbidden: ' if name else f"{resource.title} is forbidden: "
    )
    details = {**({"name": name} if name else {}), **_details(resource, name)}
    if not name:
        details.pop("name")
    return RefusedError(403, "Forbidden", told + why, details=details)


def expired(message: str) -> RefusedError:
    """410: the history that was asked for is gone."""
    return RefusedError(410, "Expired", message)
