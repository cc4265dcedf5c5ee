"""What the reporter is asked and answers; also what crosses into its confined process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from spikefleet.core.failures.errors import Failure
from spikefleet.core.run_result import PreflightRecord
from spikefleet.core.runs import AttemptPlace


class RunRecord(TypedDict, total=False):
    """All that the controller knows of a run. Unknown entries are kept out of the report."""

    #: run_id, batch_id, recording_id, recording_name, stream, backend, state, stage, status,
    #: submitter, config_digest, sort_digest, created_at and updated_at (ISO 8601), failure
    #: (``Failure.to_json``), result (``RunResult``)
    run: dict[str, Any]
    #: each attempt_id, stage, number, state, params, created_at, ended_at, failure, outcome
    #: (``AttemptOutcome.to_json``: timings_s, peaks, versions, wall_s)
    attempts: list[dict[str, Any]]
    events: list[dict[str, Any]]  #: each seq, kind, body, created_at, from_state, to_state
    config: dict[str, Any]  #: the resolved configuration, nested groups
    config_diff: dict[str, Any]  #: what differs from the defaults; computed when absent
    preflight: PreflightRecord
    recording: dict[str, Any]  #: ``Recording.to_json`` and where its files are
    curation_name: str  #: of the curation that is reported; absent for the run's own


@dataclass(frozen=True)
class ReportTask:
    """A report to make: the run's record, and which attempts made what it reports.

    ``attempt`` is the one at work; ``sort`` and ``curation`` are None where the stage left nothing.
    """

    record: RunRecord
    attempt: AttemptPlace
    sort: AttemptPlace | None = None
    curation: AttemptPlace | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; ``from_json`` reads it back."""
        sort, curation = self.sort, self.curation
        return {
            "record": self.record,
            "attempt": self.attempt.prefix,
            "sort": sort.prefix if sort else "",
            "curation": curation.prefix if curation else "",
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ReportTask:
        """Read what ``to_json`` wrote."""
        attempt = AttemptPlace.read(document["attempt"])
        if attempt is None:
            raise ValueError(f"{document['attempt']!r} is not an attempt")
        sort, curation = AttemptPlace.read(document["sort"]), document["curation"]
        return cls(document["record"], attempt, sort, AttemptPlace.read(curation))

    @property
    def run_id(self) -> str:
        """Id of the run that is reported."""
        return self.attempt.run_id


@dataclass(frozen=True)
class ReportAnswer:
    """The prefix and page written, or why not. A failure here never fails a run."""

    prefix: str = ""
    html_key: str = ""
    failure: Failure | None = None


@dataclass(frozen=True)
class Artifact:
    """One stored file of a run: ``key`` in the store, ``path`` below the run for a local copy."""

    key: str
    path: str
    size_bytes: int
    sha256: str
