"""The whole configuration of a sort: eight frozen groups, flat names, overrides, one document.

Everything that enters here is validated here; an error names the field and the next step. What
the numbers mean to a sorter is not decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from spikefleet.core.config.compat import ACCEPTED, require_plausible, without_effect
from spikefleet.core.config.execution import ExecutionConfig
from spikefleet.core.config.group import ConfigGroup
from spikefleet.core.config.names import MERGED, dotted_names, flat_names, locate, nearest
from spikefleet.core.config.products import CompilationConfig, FiguresConfig
from spikefleet.core.config.recording import RecordingConfig
from spikefleet.core.config.sorters import RtSortConfig, SorterConfig
from spikefleet.core.config.units import CurationConfig, WaveformConfig
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.sorters.parameters import read_table


class SortingConfig(ConfigGroup):
    """Complete configuration of one run. Immutable; ``override`` returns another."""

    recording: RecordingConfig = Field(
        default_factory=RecordingConfig,
        description="Part, scaling and band of the recording.",
    )
    sorter: SorterConfig = Field(
        default_factory=SorterConfig, description="Backend and its parameters."
    )
    rt_sort: RtSortConfig = Field(
        default_factory=RtSortConfig, description="Parameters of the RT-Sort backend."
    )
    waveform: WaveformConfig = Field(
        default_factory=WaveformConfig, description="Windows and sampling of waveforms."
    )
    curation: CurationConfig = Field(
        default_factory=CurationConfig, description="Thresholds a unit must meet."
    )
    compilation: CompilationConfig = Field(
        default_factory=CompilationConfig, description="Files made of the curated units."
    )
    figures: FiguresConfig = Field(
        default_factory=FiguresConfig, description="Figures of the report."
    )
    execution: ExecutionConfig = Field(
        default_factory=ExecutionConfig, description="Run control, guards and retries."
    )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> SortingConfig:
        """Read a nested document, complete or not; names without effect here are left out.

        Raises InvalidConfigurationError for an unknown group, an unknown field or a bad value.
        """
        kept: dict[str, dict[str, Any]] = {}
        for group, fields in document.items():
            if group not in cls.model_fields or not isinstance(fields, Mapping):
                raise unknown_name(cls, group, fields)
            kept[group] = {k: v for k, v in fields.items() if f"{group}.{k}" not in ACCEPTED}
            for field in kept[group]:
                if f"{group}.{field}" not in dotted_names(cls):
                    raise unknown_name(cls, f"{group}.{field}", fields[field])
        try:
            return cls.model_validate(kept)
        except ValidationError as error:
            raise invalid_value(error) from error

    def to_document(self) -> dict[str, Any]:
        """Return the complete nested document, JSON-ready; ``from_document`` reads it back."""
        return self.model_dump(mode="json")

    def override(self, **changes: Any) -> SortingConfig:
        """Return a new configuration with some fields changed; all others keep their value.

        Names are flat (``snr_min``), dotted (``curation.snr_min``) or one entry of the sorter's
        parameters (``sorter_params.batch_size``). A mapping given for such parameters merges into
        them, None clears them. A name without effect here (``compat.ACCEPTED``) changes nothing.
        Raises InvalidConfigurationError.
        """
        document = self.to_document()
        for name, value in changes.items():
            if without_effect(name):
                require_plausible(name, value)
                continue
            try:
                dotted, entry = locate(type(self), name)
            except KeyError:
                sorter = str(changes.get("sorter") or document["sorter"]["sorter_name"])
                raise unknown_name(type(self), name, value, sorter) from None
            group, _, field = dotted.partition(".")
            if entry:
                value = {entry: value}
            if dotted in MERGED and isinstance(value, Mapping):
                value = {**(document[group][field] or {}), **value}
            document[group][field] = value
        return type(self).from_document(document)


def unknown_name(
    model: type[SortingConfig], name: str, value: Any, sorter: str = ""
) -> InvalidConfigurationError:
    """Return the error for a name that no field bears; a parameter of the sorter's own is one."""
    own = {entry: f"sorter_params.{entry}" for entry in read_table(sorter) or {}}
    found = nearest(name, [*flat_names(model), *dotted_names(model), *own])
    near = own.get(found, found)
    hint = f"did you mean {near!r}?" if near else "`spikefleet settings` lists every name."
    return InvalidConfigurationError(
        f"There is no configuration field called {name!r}; {hint}",
        field=name,
        value=repr(value)[:200],
        nearest=near,
    )


def invalid_value(error: ValidationError) -> InvalidConfigurationError:
    """Return the classified form of a validation error, naming every offending field."""
    found: dict[str, tuple[str, str]] = {}
    for entry in error.errors(include_url=False):
        # Branches of a union add their type's name to the location; two parts name the field.
        location = ".".join(str(part) for part in entry["loc"][:2])
        field = str(entry.get("ctx", {}).get("field", location))
        value = "" if entry["type"] == "conflict" else repr(entry["input"])[:200]
        given = f" (given {value})" if value else ""
        found.setdefault(field, (f"{field}: {entry['msg']}{given}", value))
    field, (_, value) = next(iter(found.items()))
    told = "; ".join(sentence for sentence, _ in list(found.values())[:5])
    return InvalidConfigurationError(
        f"The configuration is not valid: {told}.",
        field=field,
        value=value,
        fields=list(found),
    )


def execution_of(document: Mapping[str, Any]) -> ExecutionConfig:
    """Return the execution group of a resolved document; what it does not say keeps its default.

    Raises InvalidConfigurationError.
    """
    given = document.get("execution") or {}
    return SortingConfig.from_document({"execution": given}).execution
