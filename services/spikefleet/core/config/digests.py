"""Identity and differences of configurations.

Runs with the same ``sort_inputs`` have the same spikes before curation: one sort serves them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikefleet.core.config.effects import (
    LATER_SORT_FIELDS,
    RT_SORT_FIELDS,
    SORT_FIELDS,
    is_pending,
)
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.files import digest_document
from spikefleet.core.sorters.catalogue import RT_SORT

# Raised when the same configuration would be written down in another way.
_SORT_DIGEST = 2


def config_digest(config: SortingConfig) -> str:
    """SHA-256 (hex) of the complete configuration."""
    return digest_document(config.to_document())


def sort_inputs(config: SortingConfig) -> dict[str, Any]:
    """Return ``{group.field: value}`` of what decides the spikes and waveforms of a sort."""
    document = config.to_document()
    inputs = {}
    for name in sorted(SORT_FIELDS):
        group, _, field = name.partition(".")
        if name not in LATER_SORT_FIELDS or field in document[group]:
            inputs[name] = document[group].get(field)
    if config.sorter.sorter_name == RT_SORT:
        for name in sorted(RT_SORT_FIELDS):
            inputs[name] = document[RT_SORT][name.partition(".")[2]]
    inputs["sorter.sorter_params"] = inputs["sorter.sorter_params"] or {}
    return inputs


def sort_digest(config: SortingConfig, *context: str) -> str:
    """SHA-256 (hex) of ``sort_inputs`` and of ``context`` (recording digest, stream)."""
    return digest_document([_SORT_DIGEST, sort_inputs(config), list(context)])


def diff(config: SortingConfig) -> Mapping[str, tuple[Any, Any]]:
    """Return ``{group.field: (default, value)}`` for every field that is not at its default."""
    default, document = SortingConfig().to_document(), config.to_document()
    return {
        f"{group}.{field}": (default[group].get(field), value)
        for group, fields in document.items()
        for field, value in fields.items()
        if value != default[group].get(field)
    }


def pending_changes(config: SortingConfig) -> tuple[str, ...]:
    """Return the names a configuration changes although they have no effect yet."""
    return tuple(name for name in diff(config) if is_pending(*name.split(".")))
