"""What preflight is asked and answers, as plain data that a worker process can receive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikefleet.core.failures.errors import Failure
from spikefleet.core.recordings.description import RecordingDescription, StreamDescription
from spikefleet.core.submissions import Recording
from spikefleet.preflight.estimate import ResourceEstimate


@dataclass(frozen=True)
class PreflightPlaces:
    """Where things lie: the artifact store's URL and the folder attempts scratch in."""

    artifacts_url: str
    scratch_folder: str


@dataclass(frozen=True)
class ExamineTask:
    """One stream to examine under one resolved configuration."""

    recording: Recording
    stream: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class FoundFinding:
    """A finding as plain text, ready for the wire."""

    level: str
    code: str
    message: str
    remediation: str
    category: str


@dataclass(frozen=True)
class Examination:
    """Preflight's answer: findings (worst first), what was opened and measured, the verdict."""

    findings: tuple[FoundFinding, ...] = ()
    stream: StreamDescription | None = None
    estimate: ResourceEstimate | None = None
    failure: Failure | None = None
    measurements: Mapping[str, Any] = field(default_factory=dict)


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
