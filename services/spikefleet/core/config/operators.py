"""Settings that name places, programs or images of the machine that sorts: the operator's.

A client who could set them could have a library of his own loaded, or hold the lane of everybody
with a place that is not there. They stay fields of the configuration, so that what a run was made
under is on record; a submission may repeat their default and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.errors import InvalidConfigurationError

_SORTERS = "the image or environment that the sorter runs in"

OPERATOR_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "recording.hdf5_plugin_path": "HDF5_PLUGIN_PATH in the service's environment",
        "sorter.sorter_path": _SORTERS,
        "sorter.use_docker": _SORTERS,
        "rt_sort.model_path": _SORTERS,
        "execution.docker_image_expected_digest": "serve's SPIKEFLEET_EXPECTED_IMAGE_DIGEST",
    }
)
"""Field by ``group.field``, and where the operator sets it instead."""

_PARAMS = ("sorter.sorter_params", "rt_sort.params")
_A_PLACE = re.compile(r"(^|_)(path|folder|dir|directory|file|filename|url|uri)s?(_|$)")


def told_of(dotted: str) -> str:
    """Return what the published page says of a field; "" unless it is the operator's."""
    where = OPERATOR_FIELDS.get(dotted, "")
    return (
        f"*The operator's: set by {where}; a submission that names one is refused.*"
        if where
        else ""
    )


def require_client_settings(config: SortingConfig, base: SortingConfig) -> None:
    """Refuse a configuration that changes an operator's field of ``base``.

    Whether to use a container at all is a client's word; which one is not. A sorter's own
    parameter that sounds like a place is the operator's too, however deep it is. Raises
    InvalidConfigurationError naming the field and who sets it.
    """
    for dotted in _PARAMS:
        before = dict(_leaves(_read(base, dotted), dotted))
        for name, value in _leaves(_read(config, dotted), dotted):
            if _A_PLACE.search(name.rpartition(".")[2]) and before.get(name) != value:
                raise _refusal(name, _SORTERS, value)
    for dotted, where in OPERATOR_FIELDS.items():
        value, before = _read(config, dotted), _read(base, dotted)
        if value == before or value is None or isinstance(value, bool):
            continue
        raise _refusal(dotted, where, value)


def _refusal(dotted: str, where: str, value: Any) -> InvalidConfigurationError:
    return InvalidConfigurationError(
        f"{dotted} is the operator's: it is set by {where}, not with a submission.",
        field=dotted,
        value=repr(value)[:200],
    )


def _leaves(params: Any, dotted: str) -> Iterator[tuple[str, Any]]:
    """Yield every name of a table of parameters, and of the tables inside it, with its value."""
    for name, value in (params or {}).items():
        yield f"{dotted}.{name}", value
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{dotted}.{name}")


def _read(config: SortingConfig, dotted: str) -> Any:
    group, _, field = dotted.partition(".")
    return getattr(getattr(config, group), field)
