"""Runs: their states, the legal moves between them, and the identity that makes two runs one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.files import digest_document
from spikefleet.core.ids import AttemptId, BatchId, RecordingId, RunId
from spikefleet.core.run_result import RunResult


class RunState(StrEnum):
    """Where a run stands. The last four are terminal."""

    QUEUED = "queued"  # waiting for a slot, or for its next stage
    RUNNING = "running"  # an attempt of ``stage`` is intended or running
    WAITING = "waiting"  # a retry is due at ``not_before``
    HELD = "held"  # its lane is held; an operator releases it
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"  # unsortable or bad input: a scientific outcome, not an error
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL: frozenset[RunState] = frozenset(
    {RunState.SUCCEEDED, RunState.SKIPPED, RunState.FAILED, RunState.CANCELLED}
)

_ENDS = frozenset({RunState.SKIPPED, RunState.FAILED, RunState.CANCELLED})

RUN_MOVES: Mapping[RunState, frozenset[RunState]] = {
    # A retry that is given up leaves a finished result behind: then the run has succeeded again.
    RunState.QUEUED: _ENDS | {RunState.RUNNING, RunState.HELD, RunState.QUEUED, RunState.SUCCEEDED},
    RunState.RUNNING: _ENDS
    | {RunState.QUEUED, RunState.WAITING, RunState.HELD, RunState.SUCCEEDED},
    RunState.WAITING: _ENDS | {RunState.QUEUED, RunState.HELD, RunState.SUCCEEDED},
    RunState.HELD: _ENDS | {RunState.QUEUED, RunState.SUCCEEDED},
    # A person may ask for a terminal run again, from any stage; nothing else reopens one.
    RunState.SUCCEEDED: frozenset({RunState.QUEUED}),
    RunState.SKIPPED: frozenset({RunState.QUEUED}),
    RunState.FAILED: frozenset({RunState.QUEUED}),
    RunState.CANCELLED: frozenset({RunState.QUEUED}),
}


_PREFIX = re.compile(r"runs/(?P<run>[^/]+)/attempts/(?P<stage>[a-z]+)-(?P<number>[1-9][0-9]{0,8})")
_BESIDE = re.compile(
    r"runs/(?P<run>[^/]+)/curations/(?P<id>cur-[0-9a-f]{16})/"
    r"(?P<stage>curate|report)(-(?P<number>[1-9][0-9]{0,8}))?"
)


class IllegalMoveError(ValueError):
    """A state change that the table does not allow; nothing was written."""

    refusal: ClassVar[str] = "ILLEGAL_MOVE"


@dataclass(frozen=True)
class Run:
    """The sorting of one stream under one resolved configuration with one backend.

    ``config`` is the resolved document, ``result`` what has been produced so far (unit counts,
    artifact prefixes by stage), ``version`` the optimistic lock, ``lane`` what a hold would stop.
    """

    run_id: RunId  #: follows from ``identity``
    batch_id: BatchId  #: the batch that made it
    recording_id: RecordingId  #: what is sorted
    stream: str  #: its well or probe
    backend: str  #: the sorter's name
    config: Mapping[str, Any]
    config_digest: str  #: of the whole configuration
    sort_digest: str  #: of what decides the spikes; equal ones share a sort
    identity: str  #: of recording, stream and configuration
    state: RunState  #: where it stands
    stage: Stage  #: which stage is due or continues
    created_at: datetime  #: UTC
    updated_at: datetime  #: UTC
    recording_name: str = ""  #: project/session/name
    submitter: str = ""  #: what the caller said of himself
    status: RunStatus | None = None  #: how it ended, in the report's words
    failure: Failure | None = None  #: of the attempt that decided
    result: RunResult = field(default_factory=RunResult)
    progress: Mapping[str, Any] = field(default_factory=dict)  #: last word of the running attempt
    not_before: datetime | None = None  #: when a waiting run is due
    cancel_requested: bool = False  #: a person wants its end
    version: int = 0
    lane: str = ""

    @property
    def is_terminal(self) -> bool:
        """True when nothing more will happen by itself."""
        return self.state in TERMINAL

    @property
    def is_stopping(self) -> bool:
        """True from the wish to cancel it until it has ended."""
        return self.cancel_requested and not self.is_terminal

    @property
    def is_ended_by_failure(self) -> bool:
        """True when its failure is why it ended, is going to end or is held.

        False: the failure is only what its last attempt met, and the run is tried again, or waits
        in a lane that another run has put on hold.
        """
        if self.failure is None:
            return False
        holds_itself = self.state is RunState.HELD and self.status is RunStatus.ENVIRONMENT
        return self.is_terminal or self.stage is Stage.REPORT or holds_itself

    @property
    def outcome(self) -> str:
        """The one word for where the run stands, in every list, page and sentence.

        A run that has not ended: its state. One that has: success, unsortable, input_error, failed
        or cancelled.
        """
        if self.state is RunState.SUCCEEDED:
            return str(RunStatus.SUCCESS)
        if self.state is not RunState.SKIPPED:
            return str(self.state)
        named = self.status in (RunStatus.UNSORTABLE, RunStatus.INPUT_ERROR)
        return str(self.status if named else RunState.FAILED)


@dataclass(frozen=True)
class AttemptPlace:
    """An attempt by what its artifacts are stored under, or a ``curation`` beside the run's own."""

    run_id: RunId
    stage: Stage
    number: int = 1
    curation: str = ""

    @property
    def prefix(self) -> str:
        """Key prefix of everything that this attempt writes; ``read`` reads it back."""
        if self.curation:
            again = f"-{self.number}" if self.number > 1 else ""
            return f"runs/{self.run_id}/curations/{self.curation}/{self.stage}{again}"
        return f"runs/{self.run_id}/attempts/{self.stage}-{self.number}"

    @classmethod
    def read(cls, prefix: str) -> AttemptPlace | None:
        """The attempt whose prefix this is; None for any other text."""
        if beside := _BESIDE.fullmatch(prefix):
            number = int(beside["number"] or 1)
            return cls(RunId(beside["run"]), Stage(beside["stage"]), number, beside["id"])
        found = _PREFIX.fullmatch(prefix)
        if found is None or found["stage"] not in set(Stage):
            return None
        return cls(RunId(found["run"]), Stage(found["stage"]), int(found["number"]))


@dataclass(frozen=True)
class Attempt:
    """One execution of one stage. ``params`` are the parameters changed for this attempt."""

    attempt_id: AttemptId  #: random; known to its runner
    run_id: RunId  #: its run
    stage: Stage  #: what it executes
    number: int  #: which try of that stage, from 1
    name: str  #: follows from run, stage and number
    state: AttemptState  #: where it stands
    params: Mapping[str, Any]
    created_at: datetime  #: when it was intended (UTC)
    ended_at: datetime | None = None  #: UTC
    failure: Failure | None = None  #: why it failed, as it was judged
    outcome: Mapping[str, Any] = field(default_factory=dict)  #: what it left, without the failure

    @property
    def place(self) -> AttemptPlace:
        """What its artifacts are stored under."""
        return AttemptPlace(self.run_id, self.stage, self.number)


@dataclass(frozen=True)
class RunEvent:
    """One line of a run's history, written in the same transaction as the change it tells of."""

    seq: int
    run_id: RunId
    kind: str
    body: Mapping[str, Any]
    created_at: datetime
    from_state: str = ""
    to_state: str = ""


@dataclass(frozen=True)
class Hold:
    """A lane on hold, how many runs wait in it, and the run whose failure put it there."""

    lane: str
    reason: str
    held_run_count: int
    created_at: datetime
    run_id: RunId | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {
            "lane": self.lane,
            "reason": self.reason,
            "held_run_count": self.held_run_count,
            "created_at": self.created_at.isoformat(),
            "run_id": self.run_id or "",
        }


@dataclass(frozen=True)
class LogPart:
    """Bytes of an attempt's log from ``offset``, and how long the log is by now."""

    data: bytes
    offset: int
    size_bytes: int

    @staticmethod
    def start_of(offset: int, size_bytes: int) -> int:
        """Where a reading begins; a negative offset counts from the end."""
        return max(0, size_bytes + offset) if offset < 0 else min(offset, size_bytes)


class LeaseRefusal(StrEnum):
    """Why an attempt may not write its run."""

    HELD = "held"  # an earlier attempt may still live; its lease has not ended
    SUPERSEDED = "superseded"  # a later attempt has the run
    OTHER_PROCESS = "other_process"  # another process carries out this very attempt
    ENDED = "ended"  # the records have ended this attempt


@dataclass(frozen=True)
class LeaseAnswer:
    """Whether a process may write an attempt's run. ``refusal`` None means that it may.

    ``holder`` is who has or had the lease, ``token`` the number of its attempt, ``wait_s`` how long
    its lease still lasts by the records' clock. ``is_known`` False: nobody could be asked, and the
    process continues, since what it writes is under its own attempt's prefix.
    """

    refusal: LeaseRefusal | None = None
    holder: str = ""
    token: int = 0
    wait_s: float = 0.0
    is_known: bool = True


@dataclass(frozen=True)
class Heard:
    """What an attempt that has reported must know. ``lease`` is None where none was asked for."""

    stop_requested: bool
    lease: LeaseAnswer | None = None


def run_identity(
    recording_digest: str, stream: str, config_digest: str, concatenated: tuple[str, ...] = ()
) -> str:
    """Two submissions with this digest equal are one run."""
    return digest_document([recording_digest, stream, config_digest, list(concatenated)])


def run_id_for(identity: str) -> RunId:
    """Deterministic run id: same recording, stream and configuration, same id."""
    return RunId(f"run-{identity[:16]}")


def attempt_name(run_id: RunId, stage: Stage, number: int) -> str:
    """Deterministic name of an attempt, short enough for a Kubernetes Job (52 characters)."""
    return f"s-{run_id.removeprefix('run-')[:16]}-{stage}-{number}"
