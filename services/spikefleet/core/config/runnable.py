"""Whether a configuration names a sorter that is here, with parameters that it takes."""

from __future__ import annotations

from spikefleet.core.config.sorter_params import check_params
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.sorters.catalogue import BACKENDS


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
    check_params(backend, BACKENDS[backend].title, config.sorter.sorter_params or {})
