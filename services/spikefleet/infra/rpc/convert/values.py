"""Values that every room's messages hold: times, words, failures. Unset is None."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from spikefleet.api.v1 import failure_pb2
from spikefleet.core.failures.codes import BY_CODE, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.infra.rpc.convert.structs import from_struct, to_struct

_CODE_BY_NUMBER = {row.number: row.code for row in BY_CODE.values()}


def to_timestamp(moment: datetime | None) -> Timestamp | None:
    """Return a Timestamp; a time without a zone is taken as UTC."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return message


def from_timestamp(message: Timestamp) -> datetime:
    """Return the time in UTC, to the microsecond."""
    return message.ToDatetime(tzinfo=UTC)


def enum_word(enum: Any, value: int) -> str:
    """Return an enum value's own word, lower case ("warn"); "" when unspecified or unknown.

    ``enum`` is a generated enum; its values share a prefix, which is dropped.
    """
    names = {number: name for name, number in enum.items()}
    unspecified = names[0]
    name = names.get(value, unspecified)
    prefix = unspecified.removesuffix("UNSPECIFIED")
    return "" if name == unspecified else str(name.removeprefix(prefix)).lower()


def to_failure(failure: Failure | None) -> failure_pb2.Failure | None:
    """Return the message of a failure, with what its table row says."""
    if failure is None:
        return None
    row = failure.row
    return failure_pb2.Failure(
        code=failure_pb2.FailureCode.ValueType(row.number),
        category=failure_pb2.FailureCategory.Value(f"FAILURE_CATEGORY_{row.category.name}"),
        message=failure.message,
        next_step=failure.next_step,
        stage=failure.stage,
        rule_id=failure.rule_id,
        evidence=to_struct(failure.evidence),
        class_name=row.class_name,
        suggest=to_struct(failure.suggest),
    )


def from_failure(message: failure_pb2.Failure) -> Failure:
    """Read a failure; a code newer than this client becomes ``unclassified``."""
    return Failure(
        code=_CODE_BY_NUMBER.get(message.code, FailureCode.UNCLASSIFIED),
        message=message.message,
        stage=message.stage,
        rule_id=message.rule_id,
        evidence=from_struct(message.evidence),
        suggest=from_struct(message.suggest),
    )


def read_failure(message: Any) -> Failure | None:
    """Read ``message.failure``; None when it is not set."""
    return from_failure(message.failure) if message.HasField("failure") else None
