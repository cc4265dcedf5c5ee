"""What every group of the configuration has in common: frozen, closed, finite, described.

Types with their bounds live here so that a bound is written once. No field is defined here.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError


def _plain(value: Any) -> Any:
    """Copy a parameter tree; whole floats become integers.

    JSON structs on the wire know only doubles, and a sorter refuses ``batch_size=60000.0``; it
    also keeps the digest of a document the same on both sides of the wire.
    """
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _listed(value: Any) -> Any:
    """Accept one value where a list is allowed: a scalar gain stays a scalar."""
    return tuple(value) if isinstance(value, list) else value


def conflict(field: str, message: str) -> PydanticCustomError:
    """Return the error of fields that do not go together, blamed on ``field`` (dotted)."""
    return PydanticCustomError("conflict", "{message}", {"message": message, "field": field})


Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Percent = Annotated[float, Field(gt=0, le=100)]
Count = Annotated[int, Field(ge=0)]
PositiveCount = Annotated[int, Field(ge=1)]
PerChannel = Annotated[float | tuple[float, ...] | None, BeforeValidator(_listed)]
Params = Annotated[dict[str, Any] | None, AfterValidator(_plain)]
Colour = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]


class ConfigGroup(BaseModel):
    """Base of the eight groups and of the whole configuration."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        coerce_numbers_to_str=True,
        use_attribute_docstrings=False,
        defer_build=True,
    )
