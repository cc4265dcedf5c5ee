"""Refuses a sorter's own parameters at submission: what would cost an hour before it fails.

An unknown name, another type, a value out of range; what each may be is the sorter's table
(``core.sorters.parameters``).
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.sorters.parameters import ParameterEntry, read_table

_FIELD = "sorter.sorter_params"


def check_params(sorter: str, title: str, given: Mapping[str, Any]) -> None:
    """Refuse parameters that the sorter could not run with.

    Raises InvalidConfigurationError naming the parameter, what it must be, and for an unknown name
    the nearest one. A sorter without a table is left to itself.
    """
    table = read_table(sorter)
    if table is None:
        return
    for name, value in given.items():
        if name not in table:
            raise _unknown(title, name, value, table)
        _check(title, name, value, table[name])


def _check(title: str, name: str, value: Any, row: ParameterEntry) -> None:
    if not row.accepts(value):
        given = repr(value)[:200]
        raise InvalidConfigurationError(
            f"{title}: {_FIELD}.{name} must be {row.wanted}, not {given}.",
            field=f"{_FIELD}.{name}",
            value=given,
        )
    if isinstance(value, Mapping):  # the defaults of nested tables do not list every name
        for key, entry in value.items():
            if key in row.fields:
                _check(title, f"{name}.{key}", entry, row.fields[key])


def _unknown(
    title: str, name: str, value: Any, table: Mapping[str, ParameterEntry]
) -> InvalidConfigurationError:
    near = get_close_matches(name, list(table), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(table))}."
    return InvalidConfigurationError(
        f"{title} has no parameter called {name!r}; {hint}",
        field=f"{_FIELD}.{name}",
        value=repr(value)[:200],
        nearest=near[0] if near else None,
    )
