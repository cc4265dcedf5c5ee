"""How much of anything a call may say: text, lists, and documents with their depth.

One walk over a request holds every call for people and runners to it, so that a new field is
bounded before anybody thinks of it. Rooms trust each other and are not held to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.struct_pb2 import Struct, Value

from spikefleet.infra.rpc.errors import RpcProblem

MOST_TEXT_BYTES = 4096
MOST_ENTRIES = 10_000
MOST_FILES = 100_000
DOCUMENT_BYTES = 256 << 10
DOCUMENT_DEPTH = 8
DOCUMENT_KEYS = 2_000
LARGEST_PAGE = 500
_LISTED_FILES = "spikefleet.api.v1.RecordingFile"  # held to their names by the door itself
_DOCUMENT = Struct.DESCRIPTOR.full_name


def require_bounded(message: Any, path: str = "") -> None:
    """Refuse a request that says more than anybody means.

    Text of more than 4096 bytes, lists of more than 10 000 entries (100 000 files), documents of
    more than 256 KiB, 2 000 keys or 8 levels. Raises RpcProblem TOO_LARGE naming the field.
    """
    for field, value in message.ListFields():
        name = f"{path}.{field.name}".lstrip(".")
        is_list = not (isinstance(value, str | bytes | int | float) or hasattr(value, "ListFields"))
        values = value if is_list else (value,)
        if is_list:
            most = MOST_FILES if _type_of(field) == _LISTED_FILES else MOST_ENTRIES
            if len(values) > most:
                raise _too_large(name, f"has {len(values)} entries; {most} are the most")
        if field.type == FieldDescriptor.TYPE_STRING:
            for text in values:
                _require_text(text, name)
        elif _type_of(field) == _DOCUMENT:
            for document in values:
                require_document(document, name)
        elif field.type == FieldDescriptor.TYPE_MESSAGE and _type_of(field) != _LISTED_FILES:
            for entry in values:
                require_bounded(entry, name)


def require_document(document: Struct, name: str) -> None:
    """Refuse a document that is too large, too deep or says too much. Raises RpcProblem."""
    size_bytes = document.ByteSize()
    if size_bytes > DOCUMENT_BYTES:
        raise _too_large(name, f"is {size_bytes} bytes long; {DOCUMENT_BYTES} are the most")
    for n_before, (key, value, depth) in enumerate(_values(document)):
        if n_before >= DOCUMENT_KEYS:
            raise _too_large(name, f"holds more than {DOCUMENT_KEYS} values")
        if depth > DOCUMENT_DEPTH:
            raise _too_large(name, f"is nested deeper than {DOCUMENT_DEPTH} levels")
        _require_text(key, name)
        _require_text(value.string_value, f"{name}.{key}" if len(key) <= 100 else name)


def _values(document: Struct) -> Iterator[tuple[str, Value, int]]:
    """Yield every value of a document with its key and depth, without recursion."""
    waiting = [(key, value, 1) for key, value in document.fields.items()]
    while waiting:
        key, value, depth = waiting.pop()
        yield key, value, depth
        if value.HasField("struct_value"):
            inner = value.struct_value.fields.items()
            waiting += [(name, entry, depth + 1) for name, entry in inner]
        elif value.HasField("list_value"):
            waiting += [(key, entry, depth + 1) for entry in value.list_value.values]


def _type_of(field: FieldDescriptor) -> str:
    return field.message_type.full_name if field.message_type is not None else ""


def _require_text(text: str, name: str) -> None:
    if len(text) > MOST_TEXT_BYTES or len(text.encode()) > MOST_TEXT_BYTES:
        raise _too_large(name, f"is longer than {MOST_TEXT_BYTES} bytes")


def _too_large(name: str, what: str) -> RpcProblem:
    return RpcProblem("TOO_LARGE", f"{name[:200]} {what}.", field=name[:200])
