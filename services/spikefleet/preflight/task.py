"""What preflight is asked and answers, as plain data that crosses into a confined process as JSON.

An answer comes from a process that may have been taken over by what it read: ``from_json`` takes
only the fields it knows and raises ValueError, KeyError or TypeError for anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from spikefleet.core.failures.errors import Failure
from spikefleet.core.findings.finding import Finding
from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.core.submissions import Recording
from spikefleet.preflight.estimate import ResourceEstimate, StageEstimate


@dataclass(frozen=True)
class PreflightPlaces:
    """Where things lie: the artifact store's URL, the folder attempts scratch in, and the folder
    of each uploaded recording on this machine by its location in the store.
    """

    artifacts_url: str
    scratch_folder: str
    roots: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ExamineTask:
    """One stream to examine under one resolved configuration."""

    recording: Recording
    stream: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Examination:
    """Preflight's answer: findings (worst first), what was opened and measured, the verdict."""

    findings: tuple[Finding, ...] = ()
    stream: StreamDescription | None = None
    estimate: ResourceEstimate | None = None
    failure: Failure | None = None
    measurements: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; ``from_json`` reads it back."""
        return {
            "findings": [finding.to_json() for finding in self.findings],
            "stream": asdict(self.stream) if self.stream else None,
            "estimate": asdict(self.estimate) if self.estimate else None,
            "failure": self.failure.to_json() if self.failure else None,
            "measurements": dict(self.measurements),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Examination:
        """Read what ``to_json`` wrote."""
        estimate, failure = document["estimate"], document["failure"]
        return cls(
            findings=tuple(Finding.from_json(each) for each in document["findings"]),
            stream=StreamDescription(**document["stream"]) if document["stream"] else None,
            estimate=_estimate(estimate) if estimate else None,
            failure=Failure.from_json(failure) if failure else None,
            measurements=dict(document["measurements"]),
        )


@dataclass(frozen=True)
class Member:
    """One recording of several in a folder: its entry and its files, relative to the folder."""

    entry: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    """A recording's streams, or why it cannot be opened, or the several recordings it holds."""

    description: RecordingDescription | None = None
    failure: Failure | None = None
    members: tuple[Member, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; ``from_json`` reads it back."""
        return {
            "description": asdict(self.description) if self.description else None,
            "failure": self.failure.to_json() if self.failure else None,
            "members": [asdict(member) for member in self.members],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Description:
        """Read what ``to_json`` wrote."""
        described, failure = document["description"], document["failure"]
        return cls(
            description=_description(described) if described else None,
            failure=Failure.from_json(failure) if failure else None,
            members=tuple(
                Member(str(each["entry"]), tuple(map(str, each["paths"])))
                for each in document["members"]
            ),
        )


def _description(document: Mapping[str, Any]) -> RecordingDescription:
    return RecordingDescription(
        str(document["format"]),
        tuple(StreamDescription(**stream) for stream in document["streams"]),
        tuple(map(str, document["other_streams"])),
    )


def _estimate(document: Mapping[str, Any]) -> ResourceEstimate:
    values = dict(document)
    stages = tuple(StageEstimate(**stage) for stage in values.pop("stages"))
    return ResourceEstimate(**values, stages=stages)
