"""Writes the tables of ``parameters`` from the installed sorters: their types, bounds and defaults.

``python -m spikefleet.signal.sorters.parameter_tables [FOLDER]``, after a sorter's version changed.
Kilosort 4 publishes bounds itself. Of the others only defaults are known: a value keeps its
default's type, and where that is positive its sign.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.signal.sorters.base import load_backend

FOLDER = Path(__file__).parents[2] / "core" / "sorters" / "parameters"
# Names of what is counted: a fraction of it means nothing, though its default is a whole number.
_COUNTED = re.compile(
    r"^(n_|num_|npca|min_n_|snippet_T|filter_order$)|_(components|depth|features|order|snippets)$|"
    r"max_num_|^seed$|_seed$|^detect_sign$"
)
_KINDS = {int: "int", float: "number", bool: "bool", str: "string", list: "list"}


def make_table(sorter: str) -> dict[str, dict[str, Any]]:
    """Return a sorter's table as plain data, by parameter name."""
    backend = load_backend(sorter)
    published: Mapping[str, Mapping[str, Any]] = getattr(backend, "published_bounds", dict)()
    defaults = backend.default_params()
    return {
        name: _published(published[name], value) if name in published else _guessed(name, value)
        for name, value in sorted(defaults.items())
    }


def _published(row: Mapping[str, Any], default: Any) -> dict[str, Any]:
    """A row from what Kilosort says of its parameter; ``default`` is the adapter's."""
    entry: dict[str, Any] = {"kind": _KINDS[row["type"]], "default": default}
    if default is None:
        entry["nullable"] = True
    low, high = row.get("min"), row.get("max")
    if low is not None and math.isfinite(low):
        entry["minimum"] = low
        if low in row.get("exclude", ()):
            entry["above_minimum"] = True
    if high is not None and math.isfinite(high):
        entry["maximum"] = high
    return entry


def _guessed(name: str, default: Any) -> dict[str, Any]:
    """A row from a default alone."""
    if default is None:
        return {"kind": "any", "default": None, "nullable": True}
    if isinstance(default, bool):
        return {"kind": "bool", "default": default}
    if isinstance(default, str):
        return {"kind": "string", "default": default}
    if isinstance(default, Mapping):
        fields = {key: _guessed(key, value) for key, value in sorted(default.items())}
        return {"kind": "object", "default": dict(default), "fields": fields}
    if isinstance(default, int | float):
        counted = isinstance(default, int) and bool(_COUNTED.search(name))
        entry: dict[str, Any] = {"kind": "int" if counted else "number", "default": default}
        if default >= 0:
            entry |= {"minimum": 0} | ({"above_minimum": True} if default > 0 else {})
        return entry
    return {"kind": "list", "default": list(default)}


def write_tables(folder: Path) -> None:
    """Write one file a sorter into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for sorter in BACKENDS:
        text = json.dumps(make_table(sorter), indent=1, sort_keys=True)
        (folder / f"{sorter}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_tables(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
