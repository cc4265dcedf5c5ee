"""Named starting points: those every lab knows, and one for each other sorter that is here.

A preset is immutable; ``resolve`` lays a submission's overrides over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from spikefleet.core.config.names import nearest
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.sorters.catalogue import BACKENDS

_NEUROPIXELS_PARAMS: Mapping[str, float] = {
    "stringent_thresh": 0.175,
    "loose_thresh": 0.075,
    "inference_scaling_numerator": 15.4,
    "min_amp_dist_p": 0.1,
    "max_latency_diff_spikes": 2.5,
    "max_amp_median_diff_spikes": 0.45,
    "max_latency_diff_sequences": 2.5,
    "max_amp_median_diff_sequences": 0.45,
    "max_root_amp_median_std_sequences": 2.5,
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "KILOSORT2": {"sorter": "kilosort2"},
    "KILOSORT2_DOCKER": {"sorter": "kilosort2", "use_docker": True},
    "KILOSORT4": {"sorter": "kilosort4"},
    "KILOSORT4_DOCKER": {"sorter": "kilosort4", "use_docker": True},
    "RT_SORT_MEA": {"sorter": "rt_sort"},
    "RT_SORT_NEUROPIXELS": {
        "sorter": "rt_sort",
        "rt_sort_probe": "neuropixels",
        "rt_sort_params": _NEUROPIXELS_PARAMS,
    },
}

# One for each other sorter that is here, with its own defaults; RT-Sort's authors' own limits.
OWN_PRESETS: Mapping[str, Mapping[str, Any]] = {
    **{name.upper(): {"sorter": name} for name in BACKENDS if name.upper() not in PRESETS},
    "RT_SORT_MEA_PUBLISHED": {"sorter": "rt_sort", "rt_sort_probe": "mea_published"},
}


def preset_names() -> tuple[str, ...]:
    """Return every preset's name in lower case, the six first."""
    return tuple(name.lower() for name in (*PRESETS, *OWN_PRESETS))


@cache
def _build(name: str) -> SortingConfig:
    changes = PRESETS.get(name) or OWN_PRESETS[name]
    return SortingConfig().override(**changes)


def preset(name: str) -> SortingConfig:
    """Return the preset called ``name``; case does not matter, dashes equal underscores.

    Raises InvalidConfigurationError naming the nearest preset.
    """
    key = name.strip().upper().replace("-", "_").replace(" ", "_")
    if key in PRESETS or key in OWN_PRESETS:
        return _build(key).model_copy(deep=True)
    near = nearest(key, preset_names())
    hint = f"did you mean {near!r}?" if near else f"choose one of {', '.join(preset_names())}."
    raise InvalidConfigurationError(
        f"There is no preset or sorter called {name!r}; {hint}",
        field="preset",
        value=name,
        nearest=near,
    )


def resolve(preset_name: str, overrides: Mapping[str, Any]) -> SortingConfig:
    """Return the complete configuration of a submission: preset, then flat or dotted overrides.

    Raises InvalidConfigurationError.
    """
    return preset(preset_name).override(**dict(overrides))
