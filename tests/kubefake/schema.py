"""Which fields exist and what type each has, read off the models that are generated from the API.

An unknown field is dropped with a warning, refused where the writer asked for ``Strict``; a value
of a wrong type is refused always.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kubernetes import client

from tests.kubefake.refusals import RefusedError, bad_request
from tests.kubefake.resources import Resource

_MODELS: Mapping[str, str] = {
    "Job": "V1Job",
    "Pod": "V1Pod",
    "Lease": "V1Lease",
    "Event": "CoreV1Event",
    "ConfigMap": "V1ConfigMap",
    "Secret": "V1Secret",
    "ResourceQuota": "V1ResourceQuota",
    "Node": "V1Node",
}
_SCALARS: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "datetime": (str,),
}
_GO_NAMES = {"str": "string", "int": "int32", "bool": "bool", "float": "float64"}


def check_types(resource: Resource, document: Mapping[str, Any]) -> list[str]:
    """The paths of unknown fields, which are taken out of ``document``. Raises RefusedError 400."""
    unknown: list[str] = []
    _walk(resource, _MODELS[resource.kind], document, "", unknown)
    return unknown


def refuse_unknown(resource: Resource, unknown: list[str]) -> RefusedError:
    """400 of fieldValidation=Strict."""
    said = ", ".join(f'unknown field "{path}"' for path in unknown)
    return bad_request(
        f'{resource.kind} in version "{resource.version}" cannot be handled as a '
        f"{resource.kind}: strict decoding error: {said}"
    )


def _walk(resource: Resource, model: str, found: Any, path: str, unknown: list[str]) -> None:
    kind = getattr(client, model, None)
    if kind is None or not hasattr(kind, "openapi_types"):
        return  # object, IntOrString, quantities
    if not isinstance(found, Mapping):
        raise _wrong_type(resource, found, path, model)
    known = {name: kind.openapi_types[field] for field, name in kind.attribute_map.items()}
    for name in list(found):
        here = f"{path}.{name}" if path else name
        if name not in known:
            unknown.append(here)
            del found[name]  # type: ignore[attr-defined]
        elif found[name] is not None:
            _value(resource, known[name], found[name], here, unknown)


def _value(resource: Resource, wanted: str, found: Any, path: str, unknown: list[str]) -> None:
    if listed := re.fullmatch(r"(?:list|List)\[(.+)\]", wanted):
        if not isinstance(found, list):
            raise _wrong_type(resource, found, path, wanted)
        for number, one in enumerate(found):
            _value(resource, listed[1], one, f"{path}[{number}]", unknown)
    elif mapped := re.fullmatch(r"(?:dict|Dict)[\[(]str, (.+)[\])]", wanted):
        if not isinstance(found, Mapping):
            raise _wrong_type(resource, found, path, wanted)
        for key, one in found.items():
            if mapped[1] == "str" and re.search(r"\.(limits|requests|hard|capacity)$", path):
                continue  # quantities may be numbers
            _value(resource, mapped[1], one, f"{path}.{key}", unknown)
    elif wanted in _SCALARS:
        right = isinstance(found, _SCALARS[wanted])
        if not right or (wanted == "int" and isinstance(found, bool)):
            raise _wrong_type(resource, found, path, wanted)
    else:
        _walk(resource, wanted, found, path, unknown)


def _wrong_type(resource: Resource, found: Any, path: str, wanted: str) -> RefusedError:
    had = {str: "string", bool: "bool", int: "number", list: "array"}.get(type(found), "object")
    return bad_request(
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
        f"json: cannot unmarshal {had} into Go struct field .{path} of type "
        f"{_GO_NAMES.get(wanted, wanted)}"
    )
