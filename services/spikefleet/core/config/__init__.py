"""The configuration of a sort: frozen groups, presets, flat names, digests, JSON Schema."""

from spikefleet.core.config.digests import config_digest, diff, sort_digest, sort_inputs
from spikefleet.core.config.presets import OWN_PRESETS, PRESETS, preset, preset_names, resolve
from spikefleet.core.config.schema import json_schema
from spikefleet.core.config.sorting import SortingConfig

__all__ = [
    "OWN_PRESETS",
    "PRESETS",
    "SortingConfig",
    "config_digest",
    "diff",
    "json_schema",
    "preset",
    "preset_names",
    "resolve",
    "sort_digest",
    "sort_inputs",
]
