"""What every group of the configuration has in common: frozen, closed, finite, described.

Types with their bounds live here so that a bound is written once. No field is defined here.
"""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)
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

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number is asked: they would be taken for 1 and 0."""
        kinds = _kinds(cls.model_fields[str(info.field_name)].annotation)
        if isinstance(value, bool) and kinds & {int, float} and bool not in kinds:
            raise PydanticCustomError("truth_for_a_number", "must be a number, not true or false")
        return value


def _kinds(annotation: Any) -> set[Any]:
    """Every plain type an annotation names, also inside unions and ``Annotated``."""
    inner = get_args(annotation)
    return set().union(*(_kinds(each) for each in inner)) if inner else {annotation}
