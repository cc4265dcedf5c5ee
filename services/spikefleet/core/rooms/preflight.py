"""What preflight is asked and answers; also plain data that crosses into a confined process.

An answer comes from a process that may have been taken over by what it read: ``from_json`` takes
only the fields it knows and raises ValueError, KeyError or TypeError for anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from spikefleet.core.failures.errors import Failure
from spikefleet.core.findings.finding import Finding
from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.core.submissions import Recording

if TYPE_CHECKING:  # a rig's client imports no configuration
    from spikefleet.core.config.sorting import SortingConfig


@dataclass(frozen=True)
class Member:
    """One recording of several in a folder: its entry and its files, relative to the folder."""

    entry: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    """A recording's streams, or why it cannot be opened, or the several recordings it holds.

    ``members`` are in order, and only there when they were asked for.
    """

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
            description=RecordingDescription.from_json(described) if described else None,
            failure=Failure.from_json(failure) if failure else None,
            members=tuple(
                Member(str(each["entry"]), tuple(map(str, each["paths"])))
                for each in document["members"]
            ),
        )


@dataclass(frozen=True)
class ExamineTask:
    """One stream to examine under one resolved configuration; stream "" is the only one."""

    recording: Recording
    stream: str
    config: SortingConfig


@dataclass(frozen=True)
class StageEstimate:
    """Expected peaks of one stage of a run, and its length."""

    stage: str
    memory_bytes: int
    scratch_bytes: int
    gpu_memory_bytes: int
    duration_s: float


@dataclass(frozen=True)
class ResourceEstimate:
    """Expected peaks of the sort, and its length; ``stages`` has every stage of the run."""

    memory_bytes: int
    scratch_bytes: int
    gpu_memory_bytes: int
    duration_s: float
    stages: tuple[StageEstimate, ...] = ()

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ResourceEstimate:
        """Read what ``asdict`` made."""
        stages = tuple(StageEstimate(**stage) for stage in document["stages"])
        return cls(**{**document, "stages": stages})


@dataclass(frozen=True)
class Examination:
    """Preflight's verdict on one stream: findings (worst first), what was opened and measured.

    ``failure`` is set when the stream is not to be sorted.
    """

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
            estimate=ResourceEstimate.from_json(estimate) if estimate else None,
            failure=Failure.from_json(failure) if failure else None,
            measurements=dict(document["measurements"]),
        )


@dataclass(frozen=True)
class PlannedRun:
    """One run that a submission would make, and what preflight says of its stream."""

    recording_name: str
    stream: str
    examination: Examination


@dataclass(frozen=True)
class SubmissionPlan:
    """What a submission would start: its runs, and the whole resolved configuration."""

    config: Mapping[str, Any]
    runs: tuple[PlannedRun, ...]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {
            "config": dict(self.config),
            "runs": [
                {
                    "recording_name": run.recording_name,
                    "stream": run.stream,
                    **run.examination.to_json(),
                }
                for run in self.runs
            ],
        }
