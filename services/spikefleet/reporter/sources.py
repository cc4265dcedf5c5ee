"""What a report is made of beside its record, and the files it is written to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JSON_FILE = "recording_report.json"
MARKDOWN_FILE = "report.md"
HTML_FILE = "report.html"


@dataclass(frozen=True)
class ReportSources:
    """What the stages left: the analyzer's folder and the documents beside it.

    ``analyzer`` is empty where there is none, and ``missing`` says why if it should be there.
    """

    analyzer: str = ""
    timeline: Mapping[str, Any] = field(default_factory=dict)
    curation: Mapping[str, Any] = field(default_factory=dict)
    sort: Mapping[str, Any] = field(default_factory=dict)
    strip: Mapping[str, Any] = field(default_factory=dict)
    missing: str = ""
