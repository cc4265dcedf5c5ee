"""The tables as SQLAlchemy Core sees them, and the three column types that differ by database.

``migrations`` decides what a database really holds; a test keeps the two equal. Nothing here is
mapped to classes: rows become the frozen dataclasses of ``core`` in the store modules.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    select,
)
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC timestamp. A naive one is refused: nobody could say which hour it means."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware time into what the driver stores."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; pass an aware UTC time")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the stored time as aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class CleanText(TypeDecorator[str]):
    """Text that every database takes: no NUL characters, no lone surrogates."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what PostgreSQL would refuse."""
        return None if value is None else clean_text(value)


class Document(TypeDecorator[Any]):
    """A JSON document. Non-finite numbers become null, because JSON has no word for them."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Make any evidence storable."""
        return clean_document(value)


def clean_text(text: str) -> str:
    """Replace NUL characters and lone surrogates; sorter logs and file names contain both."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")


def clean_document(value: Any) -> Any:
    """Return ``value`` as plain JSON data: dictionaries, lists, text, finite numbers, null."""
    if isinstance(value, str):
        return clean_text(str(value))
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {clean_text(str(key)): clean_document(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean_document(entry) for entry in value]
    return clean_text(str(value))


def read_document(text: str | bytes) -> Any:
    """Parse a stored document; one that cannot be read is told as such and hides no other row."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {UNREADABLE: True}


UNREADABLE = "unreadable_document"
METADATA = MetaData()
_SEQ = BigInteger().with_variant(Integer(), "sqlite")

SCHEMA_VERSION = Table(
    "schema_version",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("name", CleanText, nullable=False),
    Column("applied_at", UtcTime, nullable=False),
)

RECORDING = Table(
    "recording",
    METADATA,
    Column("recording_id", CleanText, primary_key=True),
    Column("serial", BigInteger, nullable=False, unique=True),
    Column("name", CleanText, nullable=False),
    Column("digest", CleanText, nullable=False),
    Column("missing", Boolean, nullable=False),
    Column("document", Document, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("description", Document, nullable=True),
)

RECORDING_OWNER = Table(
    "recording_owner",
    METADATA,
    Column("recording_id", CleanText, ForeignKey("recording.recording_id"), primary_key=True),
    Column("owner", CleanText, primary_key=True),
)

UPLOAD = Table(
    "upload",
    METADATA,
    Column("upload_id", CleanText, primary_key=True),
    Column("name", CleanText, nullable=False),
    Column("files", Document, nullable=False),
    Column("entry", CleanText, nullable=False),
    Column("part_size_bytes", BigInteger, nullable=False),
    Column("idempotency_key", CleanText, nullable=True, unique=True),
    Column("state", CleanText, nullable=False),
    Column("recording_id", CleanText, nullable=True),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("owner", CleanText, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("direct", Document, nullable=True),
    Column("direct_bytes", BigInteger, nullable=False),
)

UPLOAD_PART = Table(
    "upload_part",
    METADATA,
    Column("upload_id", CleanText, ForeignKey("upload.upload_id"), primary_key=True),
    Column("path", CleanText, primary_key=True),
    Column("offset_bytes", BigInteger, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", CleanText, nullable=False),
    Column("from_start", Boolean, nullable=False),
    Column("md5", CleanText, nullable=False),
)

BATCH = Table(
    "batch",
    METADATA,
    Column("batch_id", CleanText, primary_key=True),
    Column("submitter", CleanText, nullable=False),
    Column("label", CleanText, nullable=False),
    Column("idempotency_key", CleanText, nullable=True, unique=True),
    Column("created_at", UtcTime, nullable=False),
    Column("owner", CleanText, nullable=False),
)

RUN = Table(
    "run",
    METADATA,
    Column("run_id", CleanText, primary_key=True),
    Column("serial", BigInteger, nullable=False, unique=True),
    Column("batch_id", CleanText, ForeignKey("batch.batch_id"), nullable=False),
    Column("recording_id", CleanText, nullable=False),
    Column("recording_name", CleanText, nullable=False),
    Column("stream", CleanText, nullable=False),
    Column("backend", CleanText, nullable=False),
    Column("lane", CleanText, nullable=False),
    Column("config", Document, nullable=False),
    Column("config_digest", CleanText, nullable=False),
    Column("sort_digest", CleanText, nullable=False),
    Column("identity", CleanText, nullable=False, unique=True),
    Column("submitter", CleanText, nullable=False),
    Column("state", CleanText, nullable=False),
    Column("stage", CleanText, nullable=False),
    Column("status", CleanText, nullable=True),
    Column("failure", Document, nullable=True),  # of earlier versions; see ``run_rows``
    Column("failed_attempt", CleanText, nullable=True),
    Column("result", Document, nullable=False),
    Column("progress", Document, nullable=False),
    Column("not_before", UtcTime, nullable=True),
    Column("cancel_requested", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("sort_mark", CleanText, nullable=False, default=""),
)

BATCH_RUN = Table(
    "batch_run",
    METADATA,
    Column("batch_id", CleanText, ForeignKey("batch.batch_id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("run_id", CleanText, ForeignKey("run.run_id"), nullable=False),
    Column("existed", Boolean, nullable=False),
)

ATTEMPT = Table(
    "attempt",
    METADATA,
    Column("attempt_id", CleanText, primary_key=True),
    Column("serial", BigInteger, nullable=False, unique=True),
    Column("run_id", CleanText, ForeignKey("run.run_id"), nullable=False),
    Column("stage", CleanText, nullable=False),
    Column("number", Integer, nullable=False),
    Column("name", CleanText, nullable=False, unique=True),
    Column("state", CleanText, nullable=False),
    Column("params", Document, nullable=False),
    Column("failure", Document, nullable=True),
    Column("outcome", Document, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime, nullable=True),
    Column("secret_sha256", CleanText, nullable=False, default=""),
    UniqueConstraint("run_id", "stage", "number"),
)

CURATION = Table(
    "curation",
    METADATA,
    Column("curation_id", CleanText, primary_key=True),
    Column("serial", BigInteger, nullable=False, unique=True),
    Column("run_id", CleanText, ForeignKey("run.run_id"), nullable=False),
    Column("name", CleanText, nullable=False),
    Column("kind", CleanText, nullable=False),
    Column("settings", Document, nullable=False),
    Column("curator", CleanText, nullable=False),
    Column("owner", CleanText, nullable=False),
    Column("sort_prefix", CleanText, nullable=False),
    Column("n_sorted", Integer, nullable=False),
    Column("n_curated", Integer, nullable=False),
    Column("report_html", CleanText, nullable=False),
    Column("chosen", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("run_id", "name"),
)

RUN_LEASE = Table(
    "run_lease",
    METADATA,
    Column("run_id", CleanText, ForeignKey("run.run_id"), primary_key=True),
    Column("attempt_id", CleanText, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("holder", CleanText, nullable=False),
    Column("released", Boolean, nullable=False),
    Column("taken_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)

CONTROLLER_EPOCH = Table(
    "controller_epoch",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", CleanText, nullable=False),
    Column("taken_at", UtcTime, nullable=False),
)

EVENT = Table(
    "event",
    METADATA,
    Column("seq", _SEQ, primary_key=True),
    Column("run_id", CleanText, ForeignKey("run.run_id"), nullable=False),
    Column("kind", CleanText, nullable=False),
    Column("from_state", CleanText, nullable=False),
    Column("to_state", CleanText, nullable=False),
    Column("body", Document, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)

HOLD = Table(
    "hold",
    METADATA,
    Column("lane", CleanText, primary_key=True),
    Column("reason", CleanText, nullable=False),
    Column("run_id", CleanText, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)


def in_portions(values: Iterable[str], most: int = 500) -> Iterator[list[str]]:
    """Yield ``values`` in lists that fit the IN of one statement on every database."""
    listed = list(values)
    for start in range(0, len(listed), most):
        yield listed[start : start + most]


def next_serial(connection: Connection, table: Table) -> int:
    """The next number in a table's order of birth. Only inside a write: writers take turns."""
    return int(connection.execute(select(func.max(table.c.serial))).scalar() or 0) + 1
