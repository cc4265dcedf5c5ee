"""The three patches of the API: merge, strategic merge (as far as our objects go) and JSON."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from tests.kubefake.refusals import RefusedError, bad_request

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"

#: Lists that a strategic patch merges, and the key it tells their elements apart by.
_MERGE_KEYS: Mapping[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "conditions": "type",
    "ownerReferences": "uid",
    "imagePullSecrets": "name",
}
_SETS = frozenset({"finalizers"})


def apply_patch(document: Mapping[str, Any], patch: Any, content_type: str) -> dict[str, Any]:
    """The patched copy. Raises RefusedError 400, 415 or 422."""
    kind = content_type.split(";")[0].strip()
    if kind not in (MERGE, STRATEGIC, JSON_PATCH):
        raise RefusedError(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})
    if kind == JSON_PATCH:
        return _json_patch(document, patch)
    if not isinstance(patch, Mapping):
        raise bad_request("a merge patch is an object")
    merged = _merge(document, patch, strategic=kind == STRATEGIC)
    assert isinstance(merged, dict)
    return merged


def _merge(held: Any, patch: Any, *, strategic: bool, name: str = "") -> Any:
    if isinstance(patch, Mapping):
        made = dict(copy.deepcopy(held)) if isinstance(held, Mapping) else {}
        for key, value in patch.items():
            if key.startswith("$"):
                continue
            if value is None:
                made.pop(key, None)
            else:
                made[key] = _merge(made.get(key), value, strategic=strategic, name=key)
        return made
    if strategic and isinstance(patch, list):
        return _merge_list(held, patch, name)
    return copy.deepcopy(patch)


def _merge_list(held: Any, patch: Sequence[Any], name: str) -> list[Any]:
    if name in _SETS and isinstance(held, list):
        return [*held, *(one for one in patch if one not in held)]
    key = _MERGE_KEYS.get(name)
    if key is None or not isinstance(held, list):
        return copy.deepcopy(list(patch))
    made = copy.deepcopy(held)
    for one in patch:
        place = next((n for n, old in enumerate(made) if old.get(key) == one.get(key)), None)
        if one.get("$patch") == "delete":
            made = [old for old in made if old.get(key) != one.get(key)]
        elif place is None:
            made.append(copy.deepcopy(one))
        else:
            made[place] = _merge(made[place], one, strategic=True)
    return made


def _json_patch(document: Mapping[str, Any], steps: Any) -> dict[str, Any]:
    made = copy.deepcopy(dict(document))
    for step in steps:
        _one_step(made, step)
    return made


def _one_step(made: dict[str, Any], step: Mapping[str, Any]) -> None:
    *way, last = [
        part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]
    ]
    place: Any = made
    try:
        for part in way:
            place = place[int(part)] if isinstance(place, list) else place[part]
        if step["op"] == "test":
            found = place[int(last)] if isinstance(place, list) else place.get(last)
            if found != step["value"]:
                raise _rejected()
        elif step["op"] == "remove":
            del place[int(last) if isinstance(place, list) else last]
        elif step["op"] in ("add", "replace"):
            if isinstance(place, list):
                place.insert(len(place) if last == "-" else int(last), step["value"])
            else:
                place[last] = step["value"]
        else:
            raise bad_request(f"unknown operation {step['op']}")
    except (KeyError, IndexError, ValueError, TypeError):
        raise _rejected() from None


def _rejected() -> RefusedError:
    message = "the server rejected our request due to an error in our request"
    return RefusedError(422, "Invalid", message, details={})
