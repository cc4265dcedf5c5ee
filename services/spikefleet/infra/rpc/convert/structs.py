"""Plain documents to protobuf Structs and back.

Numbers in a Struct are doubles: integral ones come back as int (the configuration model restores
floats), integers a double cannot hold travel as decimal strings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from pathlib import PurePath
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

from spikefleet.infra.rpc.errors import RpcProblem

_EXACT = 2**53
MOST_JSON_BYTES = 16 << 20


def to_struct(document: Mapping[str, Any] | None) -> Struct:
    """Return a Struct. Raises TypeError for a value JSON has no word for."""
    message = Struct()
    _fill_struct(message, document or {})
    return message


def _fill_struct(message: Struct, document: Mapping[str, Any]) -> None:
    fields = message.fields
    for key, value in document.items():
        _fill_value(fields[str(key)], value)


def _fill_value(message: Value, value: Any) -> None:
    """Write a value into its place in a message: to copy every level costs several times that."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, Mapping):
        message.struct_value.SetInParent()
        _fill_struct(message.struct_value, value)
    elif isinstance(value, list | tuple | set | frozenset):
        message.list_value.SetInParent()
        values = message.list_value.values
        for item in value:
            _fill_value(values.add(), item)
    else:
        _fill_plain(message, value)


def _fill_plain(message: Value, value: Any) -> None:
    if isinstance(value, str | PurePath):
        message.string_value = str(value)
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, int) and abs(value) > _EXACT:
        message.string_value = str(value)
    elif isinstance(value, int | float):
        message.number_value = float(value)
    elif value is None:
        message.null_value = 0  # type: ignore[assignment]
    elif isinstance(value, datetime):
        message.string_value = value.isoformat()
    else:
        kind = type(value).__name__
        raise TypeError(f"{kind} cannot travel in a Struct; make it plain data first")


def from_struct(message: Struct) -> dict[str, Any]:
    """Return plain data; integral numbers are int."""
    return {key: _from_value(value) for key, value in message.fields.items()}


def _from_value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return from_struct(value.struct_value)
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) <= _EXACT else number
    if kind == "string_value":
        return value.string_value
    if kind == "bool_value":
        return value.bool_value
    return None


def to_json_bytes(document: Mapping[str, Any]) -> bytes:
    """Return a document that is longer than a Struct should be; b"" for {}."""
    return json.dumps(document, separators=(",", ":")).encode() if document else b""


def from_json_bytes(data: bytes, field: str) -> dict[str, Any]:
    """Read what ``to_json_bytes`` wrote, or a stranger: within bounds, an object, nothing more.

    Raises RpcProblem TOO_LARGE, INVALID_ARGUMENT.
    """
    if len(data) > MOST_JSON_BYTES:
        told = f"{field} is {len(data)} bytes long; {MOST_JSON_BYTES} are the most."
        raise RpcProblem("TOO_LARGE", told, field=field)
    try:
        found = json.loads(data) if data else {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RpcProblem("INVALID_ARGUMENT", f"{field} is no JSON object.", field=field)
    return found
