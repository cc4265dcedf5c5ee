"""What is known of a failure beside its code: one frozen dataclass per row of the table.

The fields are the published names. The page, the comments of the proto enum and the JSON of a
failure come from them; guards, rules and exceptions fill them. What is not known is None and is
not written. Names that a row does not have (of an older version's documents) are kept as they
came, so nothing that was stored is lost. Holds values; judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import FrozenInstanceError, dataclass, field, fields
from functools import cache
from inspect import get_annotations
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, dataclass_transform

JsonValue = str | int | float | bool | None | list[Any] | dict[str, Any]

__all__ = ["FailureEvidence", "JsonValue", "evidence_row", "says"]

T = TypeVar("T")


def says(text: str) -> Any:
    """A field of evidence: None where unknown, with the sentence that the page shows of it."""
    return field(default=None, metadata={"says": text})


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field,))
def evidence_row(cls: type[T]) -> type[T]:
    """Make a frozen dataclass of a row of evidence.

    As ``dataclass(frozen=True, eq=False)`` to a reader and to a type checker. The constructor is
    written once, below: forty generated ones would be a fifth of the client's start.
    """
    return dataclass(init=False, repr=False, eq=False)(cls)


@evidence_row
class FailureEvidence(Mapping[str, JsonValue]):
    """What every row may carry. A mapping of what is known; an attribute for every name.

    ``old_names`` maps names that earlier versions wrote to today's.
    """

    old_names: ClassVar[Mapping[str, str]] = {}

    sorter: str | None = says("the sorter's name")
    step: str | None = says("load, sort or analyze")
    exit_code: int | None = says("of the sorter's process")
    signal: str | None = says("the signal that ended it")
    reason: str | None = says("which of the row's causes it was, one word")
    said: str | None = says("the words of the cluster or of another room")
    path: str | None = says("the file or folder it is about")
    exception_type: str | None = says("module and class of the exception")
    exception_message: str | None = says("its text, 500 characters at most")
    frame: str | int | None = says(
        "the innermost function, file:function; of a recording the frame, counted from 0"
    )
    log_line: str | None = says("the line of the log that explains it")
    log_tail: list[str] | None = says("the log's last 50 lines")
    log_unread_bytes: int | None = says("how much of the log nobody looked at")
    trace_tail: list[str] | None = says("the traceback's last lines")
    finding: str | None = says("the check that found it (docs/preflight.md)")
    error_id: str | None = says("where the service's log has the details")
    sorter_params: dict[str, Any] | None = says("the parameters the run gave the sorter")
    digest_verified: bool | None = says("the bytes read are those that were submitted")
    class_mismatch: str | None = says("what the attempt's own document said, against its exit code")
    refined_from: str | None = says("the code before the measurements were looked at")
    refined_rule: str | None = says("the rule before the measurements were looked at")
    complaint: dict[str, Any] | None = says("the evidence of the code before")
    #: names that this row does not have, as an older version wrote them
    extra: Mapping[str, JsonValue] = field(default_factory=dict)

    if not TYPE_CHECKING:

        def __init__(self, **known: Any) -> None:
            unknown = known.keys() - self.names() - {"extra"}
            if unknown:
                raise TypeError(f"{type(self).__name__} has no evidence {sorted(unknown)}")
            for name in self.names():
                object.__setattr__(self, name, known.get(name))
            object.__setattr__(self, "extra", known.get("extra") or {})

        def __setattr__(self, name: str, value: Any) -> None:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")

        def __delattr__(self, name: str) -> None:
            raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)!r})"

    @classmethod
    def of(cls, known: Mapping[str, Any]) -> Self:
        """Build from named values, today's names or older ones; foreign names are kept."""
        if type(known) is cls:
            return known
        own = cls.names()
        given: dict[str, Any] = {}
        extra: dict[str, JsonValue] = {}
        for name, value in known.items():
            now = cls.old_names.get(name, name)
            if now in own:
                given[now] = value
            else:
                extra[name] = value
        return cls(**given, extra=extra)

    @classmethod
    @cache
    def names(cls) -> frozenset[str]:
        """Every published name of the row, the common ones included."""
        return frozenset(entry.name for entry in fields(cls)) - {"extra"}

    @classmethod
    def own_names(cls) -> tuple[str, ...]:
        """The names that say something of this row in particular, in order."""
        bases = [base for base in cls.__mro__ if base is not FailureEvidence]
        owned = {name for base in bases for name in get_annotations(base)}
        return tuple(entry.name for entry in fields(cls) if entry.name in owned)

    def to_json(self) -> dict[str, JsonValue]:
        """What is known, under the published names."""
        return dict(self)

    def __getitem__(self, name: str) -> JsonValue:
        value: JsonValue = getattr(self, name) if name in self.names() else None
        return self.extra[name] if value is None else value

    def __iter__(self) -> Iterator[str]:
        for entry in fields(self):
            if entry.name != "extra" and getattr(self, entry.name) is not None:
                yield entry.name
        yield from (name for name in self.extra if name not in self.names())

    def __len__(self) -> int:
        return sum(1 for _ in self)
