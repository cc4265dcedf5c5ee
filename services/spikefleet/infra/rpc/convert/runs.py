"""Runs with their attempts, progress, leases and history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, cast

from spikefleet.api.v1 import run_pb2, runner_pb2
from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.ids import AttemptId, BatchId, RecordingId, RunId
from spikefleet.core.run_result import RunResult
from spikefleet.core.runs import Attempt, LeaseAnswer, LeaseRefusal, Run, RunEvent, RunState
from spikefleet.infra import foreign_documents
from spikefleet.infra.rpc.convert.structs import from_struct, to_struct
from spikefleet.infra.rpc.convert.values import (
    enum_word,
    from_timestamp,
    read_failure,
    to_failure,
    to_timestamp,
)


def to_stage(stage: Stage | None) -> run_pb2.Stage.ValueType:
    """Return the enum value of a stage; None is unspecified."""
    return run_pb2.Stage.Value(f"STAGE_{stage.name if stage else 'UNSPECIFIED'}")


def from_stage(value: run_pb2.Stage.ValueType) -> Stage | None:
    """Read a stage; None when unspecified or newer than this client."""
    name = run_pb2.Stage.Name(value) if value in run_pb2.Stage.values() else ""
    return Stage.__members__.get(name.removeprefix("STAGE_"))


def to_state(state: RunState) -> run_pb2.RunState.ValueType:
    """Return the enum value of a run's state."""
    return run_pb2.RunState.Value(f"RUN_STATE_{state.name}")


def from_state(value: run_pb2.RunState.ValueType) -> RunState:
    """Read a run's state. Raises ValueError when it is unspecified or newer than this client."""
    name = run_pb2.RunState.Name(value) if value in run_pb2.RunState.values() else str(value)
    state = RunState.__members__.get(name.removeprefix("RUN_STATE_"))
    if state is None:
        raise ValueError(f"{name} is not a state this version knows; update the client")
    return state


def to_progress(progress: Mapping[str, Any]) -> run_pb2.Progress:
    """Return the message of a progress document; what it does not name is unknown.

    Keys: step, fraction (0-1), spike_count, memory_bytes, eta_s, updated_at (ISO 8601).
    """

    def number(key: str) -> float:
        found = foreign_documents.number(progress.get(key))
        return -1.0 if found is None else found

    updated = progress.get("updated_at")
    if isinstance(updated, str):
        updated = datetime.fromisoformat(updated)
    return run_pb2.Progress(
        step=str(foreign_documents.bounded(progress.get("step")) or ""),
        fraction=number("fraction"),
        spike_count=int(number("spike_count")),
        memory_bytes=int(number("memory_bytes")),
        eta_s=number("eta_s"),
        update_time=to_timestamp(updated),
    )


def from_progress(message: run_pb2.Progress) -> dict[str, Any]:
    """Read progress; unknown values are left out, so an empty dictionary means no word yet."""
    document: dict[str, Any] = {"step": message.step} if message.step else {}
    for key in ("fraction", "spike_count", "memory_bytes", "eta_s"):
        value = getattr(message, key)
        if value >= 0:
            document[key] = value
    if message.HasField("update_time"):
        document["updated_at"] = from_timestamp(message.update_time).isoformat()
    return document


def to_lease(answer: LeaseAnswer) -> runner_pb2.LeaseAnswer:
    """Return the message of a lease's answer."""
    name = f"LEASE_REFUSAL_{(answer.refusal or 'unspecified').upper()}"
    return runner_pb2.LeaseAnswer(
        refusal=runner_pb2.LeaseRefusal.Value(name),
        holder=answer.holder,
        token=answer.token,
        wait_s=answer.wait_s,
    )


def from_lease(message: runner_pb2.LeaseAnswer) -> LeaseAnswer:
    """Read a lease's answer; a refusal newer than this runner is a refusal all the same."""
    word = enum_word(runner_pb2.LeaseRefusal, message.refusal)
    refusal = LeaseRefusal(word) if word else LeaseRefusal.HELD if message.refusal else None
    return LeaseAnswer(refusal, message.holder, message.token, message.wait_s)


def to_attempt(attempt: Attempt) -> run_pb2.Attempt:
    """Return the message of an attempt."""
    return run_pb2.Attempt(
        attempt_id=attempt.attempt_id,
        run_id=attempt.run_id,
        name=attempt.name,
        stage=to_stage(attempt.stage),
        number=attempt.number,
        state=str(attempt.state),
        params=to_struct(attempt.params),
        failure=to_failure(attempt.failure),
        outcome=to_struct(attempt.outcome),
        create_time=to_timestamp(attempt.created_at),
        end_time=to_timestamp(attempt.ended_at),
    )


def from_attempt(message: run_pb2.Attempt) -> Attempt:
    """Read an attempt. Raises ValueError on a stage or state this version does not know."""
    return Attempt(
        attempt_id=AttemptId(message.attempt_id),
        run_id=RunId(message.run_id),
        stage=_known_stage(message.stage),
        number=message.number,
        name=message.name,
        state=AttemptState(message.state),
        params=from_struct(message.params),
        created_at=from_timestamp(message.create_time),
        ended_at=from_timestamp(message.end_time) if message.HasField("end_time") else None,
        failure=read_failure(message),
        outcome=from_struct(message.outcome),
    )


def to_run(run: Run, attempts: Iterable[Attempt] = ()) -> run_pb2.Run:
    """Return the message of a run, with its attempts when they are given."""
    return run_pb2.Run(
        run_id=run.run_id,
        batch_id=run.batch_id,
        recording_id=run.recording_id,
        recording_name=run.recording_name,
        stream=run.stream,
        backend=run.backend,
        state=to_state(run.state),
        stage=to_stage(run.stage),
        status=str(run.status or ""),
        failure=to_failure(run.failure),
        progress=to_progress(run.progress) if run.progress else None,
        result=to_struct(run.result),
        config=to_struct(run.config),
        config_digest=run.config_digest,
        attempts=[to_attempt(attempt) for attempt in attempts],
        create_time=to_timestamp(run.created_at),
        update_time=to_timestamp(run.updated_at),
        submitter=run.submitter,
        sort_digest=run.sort_digest,
        identity=run.identity,
        not_before_time=to_timestamp(run.not_before),
        cancel_requested=run.cancel_requested,
        version=run.version,
        lane=run.lane,
    )


def from_run(message: run_pb2.Run) -> Run:
    """Read a run. Raises ValueError on a state, stage or status this version does not know."""
    waits = message.HasField("not_before_time")
    return Run(
        run_id=RunId(message.run_id),
        batch_id=BatchId(message.batch_id),
        recording_id=RecordingId(message.recording_id),
        stream=message.stream,
        backend=message.backend,
        config=from_struct(message.config),
        config_digest=message.config_digest,
        sort_digest=message.sort_digest,
        identity=message.identity,
        state=from_state(message.state),
        stage=_known_stage(message.stage),
        created_at=from_timestamp(message.create_time),
        updated_at=from_timestamp(message.update_time),
        recording_name=message.recording_name,
        submitter=message.submitter,
        status=RunStatus(message.status) if message.status else None,
        failure=read_failure(message),
        result=cast(RunResult, from_struct(message.result)),
        progress=from_progress(message.progress) if message.HasField("progress") else {},
        not_before=from_timestamp(message.not_before_time) if waits else None,
        cancel_requested=message.cancel_requested,
        version=message.version,
        lane=message.lane,
    )


def from_attempts(message: run_pb2.Run) -> tuple[Attempt, ...]:
    """Read a run's attempts; () where they were not sent."""
    return tuple(from_attempt(attempt) for attempt in message.attempts)


def to_event(event: RunEvent) -> run_pb2.RunEvent:
    """Return the message of one line of history."""
    return run_pb2.RunEvent(
        seq=event.seq,
        run_id=event.run_id,
        kind=event.kind,
        from_state=event.from_state,
        to_state=event.to_state,
        body=to_struct(event.body),
        create_time=to_timestamp(event.created_at),
    )


def from_event(message: run_pb2.RunEvent) -> RunEvent:
    """Read one line of history."""
    return RunEvent(
        seq=message.seq,
        run_id=RunId(message.run_id),
        kind=message.kind,
        body=from_struct(message.body),
        created_at=from_timestamp(message.create_time),
        from_state=message.from_state,
        to_state=message.to_state,
    )


def _known_stage(value: run_pb2.Stage.ValueType) -> Stage:
    stage = from_stage(value)
    if stage is None:
        raise ValueError(f"stage {value} is not one this version knows; update the client")
    return stage
