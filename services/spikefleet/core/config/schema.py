"""The JSON Schema of the configuration document, for editors, forms and other languages."""

from __future__ import annotations

from typing import Any

from spikefleet.core.config.effects import described
from spikefleet.core.config.sorting import SortingConfig

SCHEMA_ID = "sorting-config.schema.json"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the nested configuration document."""
    schema = SortingConfig.model_json_schema()
    for group, info in SortingConfig.model_fields.items():
        kind: Any = info.annotation
        for field, entry in schema["$defs"][kind.__name__]["properties"].items():
            entry["description"] = described(group, field, entry["description"])
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID}
    return {**head, **schema}
