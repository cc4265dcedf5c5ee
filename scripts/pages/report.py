"""The published JSON Schema of a run's record, ``recording_report.json``."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from spikefleet.reporter.record import RECORD_VERSION
from spikefleet.reporter.sections import ReportRecord
from spikefleet.signal.units.metric_definitions import metric_definitions

SCHEMA_ID = "recording-report.schema.json"
_NUMBER = {"type": ["number", "null"]}
_TEXTS = ("channel_id", "similar_unit")
_FLAGS = ("has_positive_peak", "possible_duplicate")


def report_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the record.

    A section that a run left nothing for is empty or null; documents that others wrote (evidence,
    readings) stay open. Readers should accept sections that they do not know.
    """
    schema = TypeAdapter(ReportRecord).json_schema()
    properties = schema["properties"]
    properties["version"]["const"] = RECORD_VERSION
    properties["units"]["items"] = _unit_schema()
    schema["required"] = sorted(properties)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID}
    return {**head, **schema}


def _unit_schema() -> dict[str, Any]:
    """One row of ``units``: every metric by its name, with its definition and unit."""
    rows: dict[str, Any] = {
        "unit_id": {"type": "string", "description": "as the sorter called it"},
        "passed": {"type": "boolean", "description": "curation kept it"},
        "failed_on": {"type": "string", "description": "the criterion that rejected it, or none"},
    }
    for name, row in metric_definitions().items():
        kind: dict[str, Any] = dict(_NUMBER)
        if name in _TEXTS:
            kind = {"type": "string"}
        elif name in _FLAGS:
            kind = {"type": "boolean"}
        told = row.words.replace("`", "")
        rows[name] = {**kind, "description": f"{told} ({row.unit})" if row.unit else told}
    return {
        "type": "object",
        "properties": rows,
        "required": ["unit_id", "passed", "failed_on"],
    }


def render_report_schema() -> str:
    """Return docs/schema/recording-report.schema.json."""
    return json.dumps(report_schema(), indent=1, ensure_ascii=False) + "\n"
