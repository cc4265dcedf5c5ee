"""What goes into the run store and comes out of it beside runs: values and errors, no SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.ids import BatchId, RecordingId, RunId
from spikefleet.core.run_result import RunResult
from spikefleet.core.runs import RunState


class _NotFoundError(KeyError):
    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class RunNotFoundError(_NotFoundError):
    """No run has this id."""

    refusal: ClassVar[str] = "RUN_NOT_FOUND"


class BatchNotFoundError(_NotFoundError):
    """No batch has this id."""

    refusal: ClassVar[str] = "BATCH_NOT_FOUND"


class AttemptNotFoundError(_NotFoundError):
    """No attempt has this id."""

    refusal: ClassVar[str] = "ATTEMPT_NOT_FOUND"


class StaleRunError(RuntimeError):
    """The run changed since it was read; nothing was written. Read it again and decide again."""

    refusal: ClassVar[str] = "CONFLICT"


class BadCursorError(ValueError):
    """A page cursor that this store did not give out."""

    refusal: ClassVar[str] = "INVALID_PAGE_TOKEN"


@dataclass(frozen=True)
class NewRun:
    """One run to make. ``lane`` empty means the backend's name.

    ``stage`` is where it begins, ``result`` what the stages before have left.
    """

    recording_id: RecordingId  #: what is sorted
    recording_name: str  #: project/session/name
    stream: str  #: its well or probe
    backend: str  #: the sorter's name
    config: Mapping[str, Any]  #: the resolved document
    config_digest: str  #: of all of it
    sort_digest: str  #: of what decides the spikes
    identity: str  #: equal ones are one run
    lane: str = ""
    stage: Stage = Stage.PREFLIGHT
    result: RunResult = field(default_factory=RunResult)


@dataclass(frozen=True)
class NewBatch:
    """One submission. An empty ``idempotency_key`` makes a new batch every time.

    ``owner`` is whose runs they become; "" only the operator's.
    """

    submitter: str
    label: str
    idempotency_key: str
    runs: tuple[NewRun, ...]
    owner: str = ""


@dataclass(frozen=True)
class BatchRecord:
    """A stored batch: ``run_ids`` in submission order, and those that existed before it.

    ``is_new``: this very call made it; its key had not made it before. ``own_run_ids`` are those
    of the existing runs that its owner made, ``restarted_run_ids`` those started again for it.
    """

    batch_id: BatchId  #: its name
    run_ids: tuple[RunId, ...]
    existing_run_ids: tuple[RunId, ...]  #: those that existed before
    submitter: str  #: what the caller said of himself
    label: str  #: his word for it
    created_at: datetime  #: UTC
    is_new: bool = field(default=False, compare=False)
    own_run_ids: tuple[RunId, ...] = field(default=(), compare=False)
    restarted_run_ids: tuple[RunId, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class RunChanges:
    """What else changes with a move. None means: as it was.

    ``result`` is merged into the run's, ``drop_result`` names entries to remove first.
    ``not_before`` lives only as long as the state it was given with. Reopening a terminal run
    clears status, failure and the cancel request unless they are given here, or kept.
    ``failed_attempt`` is the id of the attempt whose failure becomes the run's. ``hold_reason`` is
    written with a move to HELD when the lane has no hold yet (default: the failure's message).
    """

    stage: Stage | None = None  #: the stage that is due
    status: RunStatus | None = None  #: how it ended
    failed_attempt: str = ""
    result: RunResult = field(default_factory=RunResult)
    drop_result: tuple[str, ...] = ()
    not_before: datetime | None = None
    cancel_requested: bool | None = None  #: set or cleared
    lane: str = ""  #: what a hold would stop
    hold_reason: str = ""
    clear_failure: bool = False  #: the run has failed no longer
    keep_failure: bool = False  #: although it is opened again
    clear_status: bool = False  #: it has not ended any longer


@dataclass(frozen=True)
class AttemptEnd:
    """How an attempt ended and what follows for its run, committed together.

    ``kind`` and ``body`` are the run's event: the decision with its evidence and rule id.
    ``holder_may_live``: nobody saw the attempt's process end, so its lease must run out by itself.
    """

    attempt_state: AttemptState
    run_to: RunState
    kind: str
    body: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    outcome: Mapping[str, Any] = field(default_factory=dict)
    changes: RunChanges = field(default_factory=RunChanges)
    holder_may_live: bool = False
