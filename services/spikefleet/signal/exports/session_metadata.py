"""What an NWB file says of session and subject, which no sorter knows: read from a person's file.

The names are NWB's own. DANDI refuses files without a subject, also those of cultures and slices;
what it asks for is named before anything is written.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from spikefleet.core.failures.errors import InvalidConfigurationError

_MOST_BYTES = 1 << 20
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def _listed(value: Any) -> Any:
    """One name stands for a list of it."""
    return (value,) if isinstance(value, str) else value


_Texts = Annotated[tuple[_Text, ...], BeforeValidator(_listed)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class SessionPart(_Part):
    """``NWBFile``: when it was recorded (with its offset from UTC), by whom, and why."""

    session_start_time: datetime | None = None
    session_description: _Text | None = None
    session_id: _Text | None = None
    experimenter: _Texts = ()  #: "Last, First"
    experiment_description: _Text | None = None
    institution: _Text | None = None
    lab: _Text | None = None
    keywords: _Texts = ()


class SubjectPart(_Part):
    """``Subject``: ``age`` is an ISO 8601 duration ("P90D"), ``species`` a Latin binomial."""

    subject_id: _Text | None = None
    species: _Text | None = None
    sex: Annotated[str, StringConstraints(pattern="^[MFUO]$")] | None = None
    age: Annotated[str, StringConstraints(pattern=r"^P[0-9YMWDTHS./P]+$")] | None = None
    description: _Text | None = None
    genotype: _Text | None = None
    strain: _Text | None = None
    weight: _Text | None = None


class DevicePart(_Part):
    """The probe or array, and where its electrodes were."""

    name: _Text = "probe"
    description: _Text = "electrode array"
    manufacturer: _Text | None = None
    location: _Text = "unknown"


class SessionMetadata(_Part):
    """Session, subject and device of one recording."""

    session: SessionPart = Field(default_factory=SessionPart)
    subject: SubjectPart = Field(default_factory=SubjectPart)
    device: DevicePart = Field(default_factory=DevicePart)

    def missing(self) -> list[str]:
        """Return what DANDI asks for and this does not say, as ``group.name``."""
        wanted: dict[str, tuple[str, ...]] = {
            "session": ("session_start_time",),
            "subject": ("subject_id", "species", "sex", "age"),
        }
        return [
            f"{group}.{name}"
            for group, names in wanted.items()
            for name in names
            if getattr(getattr(self, group), name) is None
        ]


def read_metadata(path: Path) -> SessionMetadata:
    """Read a YAML or JSON file.

    Raises InvalidConfigurationError, naming the line or the field that is wrong.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _refused(path, "is longer than a page of metadata (1 MiB)")
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(path, f"cannot be read ({error})") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise _refused(path, f"is no YAML or JSON ({error})") from error
    try:
        found = SessionMetadata.model_validate({} if document is None else document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(str(part) for part in first["loc"]) or "the document"
        told = _WORDS.get(at) or _KINDS.get(first["type"]) or first["msg"]
        raise _refused(path, f"has a wrong entry, {at}: {told}") from error
    start = found.session.session_start_time
    if start is not None and start.tzinfo is None:
        raise _refused(
            path, "gives session.session_start_time without its offset, as in +00:00 at its end"
        )
    return found


_WORDS = {
    "subject.age": 'write a duration in ISO 8601, as "P90D" for 90 days',
    "subject.sex": "write M (male), F (female), U (unknown) or O (other)",
    "session.session_start_time": "write date, time and offset, as 2026-11-20T18:00:00+01:00",
}
_KINDS = {
    "extra_forbidden": "no such name; docs/howto/other-tools.md lists them",
    "model_type": "a group of names is needed, indented below it",
    "tuple_type": "a list of texts is needed",
    "string_type": "a text is needed",
    "string_too_short": "it may not be empty",
}


def require_complete(metadata: SessionMetadata | None) -> SessionMetadata:
    """Return it. Raises InvalidConfigurationError that names everything that is missing."""
    known = metadata or SessionMetadata()
    absent = known.missing()
    if absent:
        raise InvalidConfigurationError(
            f"An NWB file needs what no sorter knows: {', '.join(absent)}. Write it into a YAML "
            "file (docs/howto/other-tools.md shows one) and give it with --metadata FILE.",
            field="metadata",
            value=", ".join(absent),
        )
    return known


def _refused(path: Path, what: str) -> InvalidConfigurationError:
    return InvalidConfigurationError(
        f"{path} {what}.".replace("\n", " "), field="metadata", value=str(path)
    )
