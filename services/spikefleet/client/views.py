"""What a person or a script sees of the service: frozen values, no messages.

``to_json`` of each gives what the command line prints with ``--output json``. Nothing here calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikefleet.core.failures.errors import Failure
from spikefleet.core.findings.next_step import next_step_for
from spikefleet.core.rooms.wishes import BatchAnswer
from spikefleet.core.runs import TERMINAL, Attempt, Run, RunEvent, RunState
from spikefleet.infra.rpc.errors import ServiceUnreachable


@dataclass(frozen=True)
class Transfer:
    """How far a copy is. ``doing`` is "upload" or "fetch"; ``path`` the file at hand.

    ``waiting`` says, in words, what is waited for and how long; "" while bytes move. ``is_known``:
    the service has all of it already, and nothing (more) moves.
    """

    doing: str
    path: str
    done_bytes: int
    total_bytes: int
    waiting: str = ""
    is_known: bool = False


OnTransfer = Callable[[Transfer], None]
OnLost = Callable[[ServiceUnreachable], None]


@dataclass(frozen=True)
class RunView:
    """A run as the service told it, with its attempts when it was asked for alone."""

    run: Run
    attempts: tuple[Attempt, ...] = ()

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self.run.run_id

    @property
    def state(self) -> RunState:
        """Where the run stands."""
        return self.run.state

    @property
    def outcome(self) -> str:
        """The one word for where the run stands: ``Run.outcome``."""
        return self.run.outcome

    @property
    def status(self) -> str:
        """How the recording ended, in a report's words; empty until it has."""
        return str(self.run.status or "")

    @property
    def failure(self) -> Failure | None:
        """Why the run ended, if it did not succeed; until then, what its last attempt met."""
        return self.run.failure

    @property
    def progress(self) -> Mapping[str, Any]:
        """Last word of the running attempt: step, fraction, spike_count, memory_bytes, eta_s."""
        return self.run.progress

    @property
    def result(self) -> Mapping[str, Any]:
        """Unit counts, artifact prefixes and timings so far."""
        return self.run.result

    @property
    def is_terminal(self) -> bool:
        """True when nothing more will happen by itself."""
        return self.run.state in TERMINAL

    @property
    def is_settled(self) -> bool:
        """True when nothing more happens without a person: ended, or held for an operator."""
        return self.is_terminal or self.run.state is RunState.HELD

    @property
    def has_succeeded(self) -> bool:
        """True with a complete, verified result."""
        return self.run.state is RunState.SUCCEEDED

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; a run of a list or batch has no configuration in it."""
        run = self.run
        return {
            "run_id": run.run_id,
            "batch_id": run.batch_id,
            "recording_id": run.recording_id,
            "recording_name": run.recording_name,
            "stream": run.stream,
            "backend": run.backend,
            "outcome": run.outcome,
            "state": str(run.state),
            "stage": str(run.stage),
            "status": self.status,
            "failure": _failure_json(run.failure),
            "progress": dict(run.progress),
            "result": dict(run.result),
            **({"config": dict(run.config)} if run.config else {}),
            "config_digest": run.config_digest,
            "sort_digest": run.sort_digest,
            "submitter": run.submitter,
            "created_at": run.created_at.isoformat(),
            "updated_at": run.updated_at.isoformat(),
            "not_before": run.not_before.isoformat() if run.not_before else None,
            "cancel_requested": run.cancel_requested,
            "lane": run.lane,
            "attempts": [_attempt_json(attempt) for attempt in self.attempts],
        }


def _failure_json(failure: Failure | None) -> dict[str, Any] | None:
    """The failure with the next step that a person is told too."""
    if failure is None:
        return None
    step = next_step_for(failure)
    return {**failure.to_json(), "next_step": step}


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "attempt_id": attempt.attempt_id,
        "stage": str(attempt.stage),
        "number": attempt.number,
        "state": str(attempt.state),
        "params": dict(attempt.params),
        "failure": _failure_json(attempt.failure),
        "created_at": attempt.created_at.isoformat(),
        "ended_at": attempt.ended_at.isoformat() if attempt.ended_at else None,
    }


def event_json(event: RunEvent) -> dict[str, Any]:
    """Return one line of history as a JSON-ready dictionary."""
    return {
        "seq": event.seq,
        "run_id": event.run_id,
        "kind": event.kind,
        "from_state": event.from_state,
        "to_state": event.to_state,
        "body": dict(event.body),
        "created_at": event.created_at.isoformat(),
    }


@dataclass(frozen=True)
class BatchView:
    """The runs born of one submission, in submission order."""

    batch_id: str
    runs: tuple[RunView, ...]
    summary: str = ""
    existing_run_ids: tuple[str, ...] = ()
    restarted_run_ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, answer: BatchAnswer) -> BatchView:
        """View the controller's answer."""
        return cls(
            answer.batch_id,
            tuple(RunView(run) for run in answer.runs),
            answer.summary,
            answer.existing_run_ids,
            answer.restarted_run_ids,
        )

    @property
    def run_ids(self) -> tuple[str, ...]:
        """Ids of the runs."""
        return tuple(run.run_id for run in self.runs)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {
            "batch_id": self.batch_id,
            "summary": self.summary,
            "existing_run_ids": list(self.existing_run_ids),
            "restarted_run_ids": list(self.restarted_run_ids),
            "runs": [run.to_json() for run in self.runs],
        }


@dataclass(frozen=True)
class RunPage:
    """A page of runs, newest first. ``next_page_token`` is empty on the last."""

    runs: tuple[RunView, ...]
    next_page_token: str = ""


@dataclass(frozen=True)
class RunUpdate:
    """One update of a watched run: the run as it is now and what happened since the last."""

    run: RunView
    events: tuple[RunEvent, ...] = ()


@dataclass(frozen=True)
class LogView:
    """A part of a sort attempt's log: bytes from ``offset``, and how long the log is by now.

    ``has_ended`` False: the attempt may still write.
    """

    attempt: int
    data: bytes
    offset: int
    size_bytes: int
    has_ended: bool

    @property
    def next_offset(self) -> int:
        """Where the next part begins."""
        return self.offset + len(self.data)


@dataclass(frozen=True)
class ReportView:
    """A run's report: the record, and the key of its page in the artifact store."""

    report: Mapping[str, Any]
    html_key: str


@dataclass(frozen=True)
class FetchedFile:
    """One file of a run, copied and verified. ``is_new`` is False when it was there already."""

    path: Path
    size_bytes: int
    sha256: str
    is_new: bool = field(default=True)
