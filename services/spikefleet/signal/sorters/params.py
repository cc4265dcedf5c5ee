"""A user's sorter parameters laid over a sorter's defaults, with every name checked.

A misspelt parameter must stop the run before it costs an hour. Values are the sorter's business.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from spikefleet.core.failures.errors import InvalidConfigurationError


def merge_params(
    sorter: str, defaults: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return ``defaults`` with ``given`` on top; neither is changed.

    Raises InvalidConfigurationError for a name the sorter does not have, naming the nearest one.
    """
    for name in given:
        if name not in defaults:
            nearest = get_close_matches(name, list(defaults), n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else "see the sorter's own manual."
            raise InvalidConfigurationError(
                f"{sorter} has no parameter called {name!r}; {hint}",
                field=f"sorter.sorter_params.{name}",
                value=str(given[name]),
            )
    return {**copy.deepcopy(dict(defaults)), **given}
