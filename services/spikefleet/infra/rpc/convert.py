"""Domain <-> messages, both ways. The only place that knows both; it decides nothing.

``to_x`` makes a message, ``from_x`` reads one; an unset time or failure is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from spikefleet.api.v1 import failure_pb2, preflight_pb2, recording_pb2, run_pb2, runner_pb2
from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.failures.codes import BY_CODE, FailureCategory, FailureCode, RunStatus
from spikefleet.core.failures.errors import Failure
from spikefleet.core.findings.finding import Finding, FindingLevel
from spikefleet.core.runs import Attempt, LeaseAnswer, LeaseRefusal, Run, RunEvent, RunState
from spikefleet.core.submissions import ManifestFile, Recording, RecordingName
from spikefleet.infra.rpc.structs import from_struct as from_struct
from spikefleet.infra.rpc.structs import to_struct as to_struct

_CODE_BY_NUMBER = {row.number: row.code for row in BY_CODE.values()}


def to_timestamp(moment: datetime | None) -> Timestamp | None:
    """Return a Timestamp; a time without a zone is taken as UTC."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return message


def from_timestamp(message: Timestamp) -> datetime:
    """Return the time in UTC, to the microsecond."""
    return message.ToDatetime(tzinfo=UTC)


def enum_word(enum: Any, value: int) -> str:
    """Return an enum value's own word, lower case ("warn"); "" when unspecified or unknown.

    ``enum`` is a generated enum; its values share a prefix, which is dropped.
    """
    names = {number: name for name, number in enum.items()}
    unspecified = names[0]
    name = names.get(value, unspecified)
    prefix = unspecified.removesuffix("UNSPECIFIED")
    return "" if name == unspecified else str(name.removeprefix(prefix)).lower()


def to_failure(failure: Failure | None) -> failure_pb2.Failure | None:
    """Return the message of a failure, with what its table row says."""
    if failure is None:
        return None
    row = failure.row
    return failure_pb2.Failure(
        code=failure_pb2.FailureCode.ValueType(row.number),
        category=failure_pb2.FailureCategory.Value(f"FAILURE_CATEGORY_{row.category.name}"),
        message=failure.message,
        next_step=failure.next_step,
        stage=failure.stage,
        rule_id=failure.rule_id,
        evidence=to_struct(failure.evidence),
        class_name=row.class_name,
        suggest=to_struct(failure.suggest),
    )


def from_failure(message: failure_pb2.Failure) -> Failure:
    """Read a failure; a code newer than this client becomes ``unclassified``."""
    return Failure(
        code=_CODE_BY_NUMBER.get(message.code, FailureCode.UNCLASSIFIED),
        message=message.message,
        stage=message.stage,
        rule_id=message.rule_id,
        evidence=from_struct(message.evidence),
        suggest=from_struct(message.suggest),
    )


def to_finding(finding: Finding) -> preflight_pb2.Finding:
    """Return the message of a finding."""
    return preflight_pb2.Finding(
        level=preflight_pb2.FindingLevel.Value(f"FINDING_LEVEL_{finding.level.name}"),
        code=finding.code,
        message=finding.message,
        remediation=finding.remediation,
        category=failure_pb2.FailureCategory.Value(f"FAILURE_CATEGORY_{finding.category.name}"),
        evidence=to_struct(finding.evidence),
    )


def from_finding(message: preflight_pb2.Finding) -> Finding:
    """Read a finding. Raises ValueError on a level or category this version does not know."""
    return Finding(
        message.code,
        FindingLevel(enum_word(preflight_pb2.FindingLevel, message.level)),
        message.message,
        message.remediation,
        FailureCategory(enum_word(failure_pb2.FailureCategory, message.category)),
        from_struct(message.evidence),
    )


def to_name(name: RecordingName) -> recording_pb2.RecordingName:
    """Return the message of a recording's address."""
    return recording_pb2.RecordingName(project=name.project, session=name.session, name=name.name)


def from_name(message: recording_pb2.RecordingName) -> RecordingName:
    """Read an address. Raises ValueError when a part of it is not valid."""
    return RecordingName(message.project, message.session, message.name)


def to_files(files: Iterable[ManifestFile]) -> list[recording_pb2.RecordingFile]:
    """Return the messages of a manifest's files."""
    return [
        recording_pb2.RecordingFile(path=f.path, size_bytes=f.size_bytes, sha256=f.sha256)
        for f in files
    ]


def from_files(messages: Iterable[recording_pb2.RecordingFile]) -> tuple[ManifestFile, ...]:
    """Read a manifest's files."""
    return tuple(ManifestFile(m.path, m.size_bytes, m.sha256) for m in messages)


def to_recording(recording: Recording) -> recording_pb2.Recording:
    """Return the message of an accepted recording."""
    return recording_pb2.Recording(
        recording_id=recording.recording_id,
        name=to_name(recording.name),
        files=to_files(recording.files),
        digest=recording.digest,
        location=recording.location,
        in_place=recording.in_place,
        entry=recording.entry,
        missing=recording.missing,
        parts=[to_recording(part) for part in recording.parts],
        format=recording.format,
        reader=recording.reader,
    )


def from_recording(message: recording_pb2.Recording) -> Recording:
    """Read an accepted recording."""
    return Recording(
        recording_id=message.recording_id,
        name=from_name(message.name),
        files=from_files(message.files),
        digest=message.digest,
        location=message.location,
        in_place=message.in_place,
        entry=message.entry,
        missing=message.missing,
        parts=tuple(from_recording(part) for part in message.parts),
        format=message.format,
        reader=message.reader,
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
        value = progress.get(key)
        return -1.0 if value is None else float(value)

    updated = progress.get("updated_at")
    if isinstance(updated, str):
        updated = datetime.fromisoformat(updated)
    return run_pb2.Progress(
        step=str(progress.get("step") or ""),
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
        attempt_id=message.attempt_id,
        run_id=message.run_id,
        stage=_known_stage(message.stage),
        number=message.number,
        name=message.name,
        state=AttemptState(message.state),
        params=from_struct(message.params),
        created_at=from_timestamp(message.create_time),
        ended_at=from_timestamp(message.end_time) if message.HasField("end_time") else None,
        failure=from_failure(message.failure) if message.HasField("failure") else None,
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
        run_id=message.run_id,
        batch_id=message.batch_id,
        recording_id=message.recording_id,
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
        failure=from_failure(message.failure) if message.HasField("failure") else None,
        result=from_struct(message.result),
        progress=from_progress(message.progress) if message.HasField("progress") else {},
        not_before=from_timestamp(message.not_before_time) if waits else None,
        cancel_requested=message.cancel_requested,
        version=message.version,
        lane=message.lane,
    )


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
        run_id=message.run_id,
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
