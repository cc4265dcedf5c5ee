"""The parameters a sorter really ran with, and who chose each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikefleet.core.sorters.parameters import read_table

SUBMISSION, RETRY, SERVICE, DEFAULT = "submission", "retry", "spikefleet", "sorter's default"


def effective_params(
    backend: str, ran_with: Mapping[str, Any], asked: Mapping[str, Any], changed: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return a row per parameter: name, value, chosen_by; what is not a default comes first.

    ``ran_with`` is what the sort says of itself, ``asked`` what the submission set, ``changed``
    what the last attempt did to that. A value that is neither and not the default of the sorter's
    table was decided by spikefleet (Kilosort's ``nblocks`` by the number of channels).
    """
    table = read_table(backend) or {}
    rows = []
    for name, value in sorted(ran_with.items()):
        if name in changed:
            chosen = RETRY
        elif name in asked:
            chosen = SUBMISSION
        elif name in table and table[name].default == value:
            chosen = DEFAULT
        else:
            chosen = SERVICE
        rows.append({"name": name, "value": value, "chosen_by": chosen})
    return sorted(rows, key=lambda row: row["chosen_by"] == DEFAULT)
