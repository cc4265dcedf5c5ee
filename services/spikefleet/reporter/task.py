"""What the reporter is asked and answers, as data that crosses into a confined process.

``RenderTask.record`` is filled by the controller; every key is optional and unknown keys are kept
out of the report:

* ``run``: run_id, batch_id, recording_id, recording_name, stream, backend, state, stage, status,
  submitter, config_digest, sort_digest, created_at and updated_at (ISO 8601), failure
  (``Failure.to_json()``), result
* ``attempts``: list of attempt_id, stage, number, state, params, created_at, ended_at, failure,
  outcome (``AttemptOutcome.to_json()``: timings_s, peaks, versions, wall_s)
* ``events``: list of seq, kind, body, created_at, from_state, to_state
* ``config``: the resolved configuration, nested groups
* ``config_diff``: dotted name to value where it differs from the defaults; computed when absent
* ``preflight``: findings, estimate, measurements, stream
* ``recording``: ``Recording.to_json()``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikefleet.core.failures.errors import Failure

JSON_FILE = "recording_report.json"
MARKDOWN_FILE = "report.md"
HTML_FILE = "report.html"


@dataclass(frozen=True)
class RenderTask:
    """A report to make. Prefixes are empty when the stage left nothing."""

    run_id: str
    sort_prefix: str
    curation_prefix: str
    output_prefix: str
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportSources:
    """What the stages left: the analyzer's folder and the documents beside it.

    ``analyzer`` is empty where there is none, and ``missing`` says why if it should be there.
    """

    analyzer: str = ""
    timeline: Mapping[str, Any] = field(default_factory=dict)
    curation: Mapping[str, Any] = field(default_factory=dict)
    sort: Mapping[str, Any] = field(default_factory=dict)
    missing: str = ""


@dataclass(frozen=True)
class RenderAnswer:
    """The prefix and page written, or why not. A failure here never fails a run."""

    prefix: str = ""
    html_key: str = ""
    failure: Failure | None = None
