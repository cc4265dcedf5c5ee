"""Whether a configuration names a sorter that is here, with parameters that it takes."""

from __future__ import annotations

from collections.abc import Collection

from spikefleet.core.config.own_params import own_params
from spikefleet.core.config.sorter_params import check_params
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.sorters.catalogue import BACKENDS


def require_offered(backend: str, offered: Collection[str]) -> None:
    """Refuse a sorter that an installation does not run. Raises InvalidConfigurationError."""
    if backend not in offered:
        there = f"it offers: {', '.join(sorted(offered))}" if offered else "it offers none"
        raise InvalidConfigurationError(
            f"This service does not offer the sorter {backend!r}; {there}.",
            field="sorter.sorter_name",
            value=backend,
        )


def require_sorter(config: SortingConfig) -> None:
    """Refuse what no sort could begin with. Raises InvalidConfigurationError naming the field."""
    backend = config.sorter.sorter_name
    if backend not in BACKENDS:
        known = ", ".join(sorted(BACKENDS))
        raise InvalidConfigurationError(
            f"The sorter {backend!r} is not available here; those that are: {known}.",
            field="sorter.sorter_name",
            value=backend,
        )
    check_params(backend, BACKENDS[backend].title, own_params(config))
