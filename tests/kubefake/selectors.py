"""Label and field selectors, as strict as the server's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.kubefake.refusals import RefusedError, bad_request
from tests.kubefake.resources import Resource, read_path

Matches = Callable[[Mapping[str, Any]], bool]

_KEY = r"[A-Za-z0-9]([A-Za-z0-9_./-]*[A-Za-z0-9])?"
_VALUE = r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?"
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s+\(([^()]*)\)")
_EQUAL = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")


def read_label_selector(text: str) -> Matches:
    """Raises RefusedError 400 for anything that is no selector."""
    wanted = [_requirement(part.strip()) for part in _split(text) if part.strip()]
    return lambda found: all(
        holds(found.get("metadata", {}).get("labels") or {}) for holds in wanted
    )


def _split(text: str) -> list[str]:
    return re.split(r",(?![^()]*\))", text)


def _requirement(part: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.fullmatch(part):
        key, sign, values = found[1], found[3], {one.strip() for one in found[4].split(",")}
        if sign == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUAL.fullmatch(part):
        key, sign, value = found[1], found[3], found[4]
        if sign == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _EXISTS.fullmatch(part):
        key, absent = found[2], bool(found[1])
        return lambda labels: (key in labels) is not absent
    if "===" in part:
        raise bad_request("unable to parse requirement: found '=', expected: identifier")
    raise bad_request(f"unable to parse requirement: {part!r} is no label selector")


def read_field_selector(text: str, resource: Resource) -> Matches:
    """Raises RefusedError 400 for a field that this kind cannot be selected by."""
    known = resource.fields | {"metadata.name", "metadata.namespace"}
    wanted: list[tuple[str, bool, str]] = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        found = re.fullmatch(r"([^!=]+)(==|=|!=)(.*)", part)
        if found is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        path = found[1].strip()
        if path not in known:
            raise _unknown_field(path, resource)
        wanted.append((path, found[2] == "!=", found[3].strip()))
    return lambda found: all(
        (_as_text(_value(found, path)) == value) is not unequal for path, unequal, value in wanted
    )


def _unknown_field(path: str, resource: Resource) -> RefusedError:
    return bad_request(f'field label "{path}" not supported for {resource.kind}')


def _value(found: Mapping[str, Any], path: str) -> Any:
    if path == "status.successful":
        return read_path(found, "status.succeeded") or 0
    return read_path(found, path)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
