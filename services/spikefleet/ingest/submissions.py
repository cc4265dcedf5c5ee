"""From a submission to a batch: configuration, streams, and one request to the controller.

Decides which streams are sorted and refuses unknown ones before anything starts. A recording that
cannot be described still gets its run: preflight will say why. Identity is the controller's affair.
"""

from __future__ import annotations

from typing import Protocol

from spikefleet.client.rooms import BatchAnswer, BatchTask, DescribeAnswer
from spikefleet.core.config import resolve
from spikefleet.core.submissions import Recording, Submission
from spikefleet.infra.rpc.errors import RpcProblem, ServiceError
from spikefleet.infra.stores.recordings import RecordingStore

ONLY_STREAM = ""
_BROKEN_LOOK = frozenset({"INTERNAL", "WORKER_DIED"})


class DescribesRecordings(Protocol):
    """The preflight room, as far as ingest needs it."""

    def describe(self, recording: Recording) -> DescribeAnswer:
        """List a recording's streams. Raises ServiceError."""
        ...


class CreatesBatches(Protocol):
    """The controller room, as far as ingest needs it."""

    def create_batch(self, task: BatchTask) -> BatchAnswer:
        """Make runs. Raises ServiceError."""
        ...


class SubmissionIntake:
    """Turns accepted recordings into runs."""

    def __init__(
        self,
        recordings: RecordingStore,
        preflight: DescribesRecordings,
        controller: CreatesBatches,
    ) -> None:
        self._recordings = recordings
        self._preflight = preflight
        self._controller = controller

    def submit(self, submission: Submission) -> BatchAnswer:
        """Make the batch.

        Raises InvalidConfigurationError, RecordingNotFoundError, RpcProblem UNKNOWN_STREAM,
        ServiceError when a room does not answer.
        """
        if not submission.recording_ids:
            raise RpcProblem(
                "INVALID_ARGUMENT",
                "a submission names at least one recording",
                field="recording_ids",
            )
        config = resolve(submission.preset, submission.overrides)
        recordings = [self._recordings.get(name) for name in submission.recording_ids]
        runs = [
            (recording.recording_id, stream)
            for recording in recordings
            for stream in self._streams(recording, submission.streams)
        ]
        return self._controller.create_batch(
            BatchTask(
                runs=tuple(dict.fromkeys(runs)),
                config=config.to_document(),
                idempotency_key=submission.idempotency_key,
                submitter=submission.submitter,
                label=submission.label,
            )
        )

    def _streams(self, recording: Recording, wanted: tuple[str, ...]) -> tuple[str, ...]:
        if recording.missing:
            return (ONLY_STREAM,)
        answer = self._described(recording)
        if answer is None or answer.failure is not None or not answer.streams:
            return (ONLY_STREAM,)
        known = tuple(stream.stream for stream in answer.streams)
        for stream in wanted:
            if stream not in known and stream not in answer.other_streams:
                listed = ", ".join((*known, *answer.other_streams))
                raise RpcProblem(
                    "UNKNOWN_STREAM",
                    f"{recording.name} has no stream {stream!r}; it has {listed}.",
                    field="streams",
                    metadata={"known": listed},
                )
        return wanted or known

    def _described(self, recording: Recording) -> DescribeAnswer | None:
        """Look at the recording, twice if need be; None when the look itself breaks both times.

        Raises ServiceError when the room is away or too slow: guessing would drop streams.
        """
        for _ in range(2):
            try:
                return self._preflight.describe(recording)
            except ServiceError as error:
                if error.reason not in _BROKEN_LOOK:
                    raise
        return None
