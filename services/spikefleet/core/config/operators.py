"""Settings that name places, programs or images of the machine that sorts: the operator's.

A client who could set them could have a library of his own loaded, or hold the lane of everybody
with a place that is not there. They stay fields of the configuration, so that what a run was made
under is on record; a submission may repeat their default and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.errors import InvalidConfigurationError

OPERATOR_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "recording.hdf5_plugin_path": "HDF5_PLUGIN_PATH in the service's environment",
        "sorter.sorter_path": "the image or environment that the sorter runs in",
        "sorter.use_docker": "the image or environment that the sorter runs in",
        "rt_sort.model_path": "the image or environment that the sorter runs in",
        "execution.docker_image_expected_digest": "serve's SPIKEFLEET_EXPECTED_IMAGE_DIGEST",
    }
)
"""Field by ``group.field``, and where the operator sets it instead."""


def require_client_settings(config: SortingConfig, base: SortingConfig) -> None:
    """Refuse a configuration that changes an operator's field of ``base``.

    Whether to use a container at all is a client's word; which one is not. Raises
    InvalidConfigurationError naming the field and who sets it.
    """
    for dotted, where in OPERATOR_FIELDS.items():
        value, before = _read(config, dotted), _read(base, dotted)
        if value == before or value is None or isinstance(value, bool):
            continue
        raise InvalidConfigurationError(
            f"{dotted} is the operator's: it is set by {where}, not with a submission.",
            field=dotted,
            value=repr(value)[:200],
        )


def _read(config: SortingConfig, dotted: str) -> Any:
    group, _, field = dotted.partition(".")
    return getattr(getattr(config, group), field)
