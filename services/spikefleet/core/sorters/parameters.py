"""What a sorter's own parameters may be, known without importing the sorter.

One table a sorter, ``parameters/<name>.json``, taken from the sorter itself (``parameter_tables``)
and held equal to the installed version by a test. Whether a value is refused is the configuration's
matter.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

_TABLES = "parameters"
_KINDS: Mapping[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "number": (int, float),
    "string": (str,),
    "list": (list, tuple),
    "object": (dict,),
    "any": (object,),
}
_WORDS = {
    "bool": "true or false",
    "int": "a whole number",
    "number": "a number",
    "string": "a text",
    "list": "a list",
    "object": "a table of parameters",
    "any": "any value",
}


@dataclass(frozen=True)
class ParameterEntry:
    """One row of a table: what a parameter may be.

    ``minimum`` and ``maximum`` are inclusive unless ``above_minimum``. ``fields`` are those of an
    object; empty: any. ``nullable``: null lets the sorter decide.
    """

    kind: str
    default: Any = None
    nullable: bool = False
    minimum: float | None = None
    above_minimum: bool = False
    maximum: float | None = None
    fields: Mapping[str, ParameterEntry] = field(default_factory=dict)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> ParameterEntry:
        """Read a row of a table."""
        fields = {name: cls.from_json(entry) for name, entry in row.get("fields", {}).items()}
        return cls(**{**row, "fields": fields})

    @property
    def wanted(self) -> str:
        """What the parameter must be, in words."""
        words = _WORDS[self.kind]
        if self.minimum is not None:
            words += f" above {self.minimum:g}" if self.above_minimum else f" from {self.minimum:g}"
        if self.maximum is not None:
            words += f" up to {self.maximum:g}"
        return words + (", or null" if self.nullable else "")

    def accepts(self, value: Any) -> bool:
        """Whether a value has the kind and is in the range. Looks at no fields of an object."""
        if value is None:
            return self.nullable or self.kind == "any"
        if isinstance(value, bool) and self.kind in ("int", "number"):
            return False
        if not isinstance(value, _KINDS[self.kind]):
            return False
        if self.kind not in ("int", "number"):
            return True
        number = float(value)  # type: ignore[arg-type]
        low = self.minimum is None or (
            number > self.minimum if self.above_minimum else number >= self.minimum
        )
        return math.isfinite(number) and low and (self.maximum is None or number <= self.maximum)


@cache
def read_table(sorter: str) -> Mapping[str, ParameterEntry] | None:
    """Return the parameters of a sorter by name; None where no table is kept."""
    path = files("spikefleet.core.sorters").joinpath(_TABLES, f"{sorter}.json")
    if not path.is_file():
        return None
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {name: ParameterEntry.from_json(row) for name, row in rows.items()}
