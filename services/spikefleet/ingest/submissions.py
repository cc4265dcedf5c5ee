"""From a submission to a batch: configuration, streams, and one request to the controller.

Decides which streams are sorted and refuses unknown ones before anything starts, and recordings
that cannot be joined. A recording that cannot be described still gets its run: preflight will say
why. Identity is the controller's affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from spikefleet.core.config import SortingConfig, resolve
from spikefleet.core.config.operators import require_client_settings
from spikefleet.core.config.presets import preset
from spikefleet.core.config.runnable import require_offered, require_sorter
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.files import digest_document
from spikefleet.core.ids import RecordingId
from spikefleet.core.recording.description import ALL_TAKES, KeptDescription, joined_streams
from spikefleet.core.rooms.preflight import (
    Description,
    Examination,
    ExamineTask,
    Member,
    PlannedRun,
    SubmissionPlan,
)
from spikefleet.core.rooms.wishes import BatchAnswer, BatchWish
from spikefleet.core.submissions import (
    Recording,
    Submission,
    digest_manifest,
    join_recordings,
    safe_part,
)
from spikefleet.core.text import counted
from spikefleet.infra.rpc.bounds import MOST_ENTRIES
from spikefleet.infra.rpc.errors import RpcProblem, ServiceError
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.signal.formats.reader_version import reader_version

ONLY_STREAM = ""
_DIFFER = "recordings_differ"
_BROKEN_LOOK = frozenset({"INTERNAL", "WORKER_DIED"})


class DescribesRecordings(Protocol):
    """The preflight room, as far as ingest needs it."""

    def describe(self, recording: Recording, *, list_members: bool = False) -> Description:
        """List a recording's streams, or the recordings it holds. Raises ServiceError."""
        ...

    def examine(self, task: ExamineTask) -> Examination:
        """Measure one stream. Raises ServiceError."""
        ...


class CreatesBatches(Protocol):
    """The controller room, as far as ingest needs it."""

    def create_batch(self, wish: BatchWish) -> BatchAnswer:
        """Make runs. Raises ServiceError."""
        ...

    def sorters(self) -> Sequence[str]:
        """Return the sorters that may be submitted for. Raises ServiceError."""
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
        RECORDINGS_DIFFER or TOO_LARGE, ServiceError when a room does not answer.
        """
        config, runs = self._resolved(submission)
        return self._controller.create_batch(
            BatchWish(
                streams=tuple((recording.recording_id, stream) for recording, stream in runs),
                config=config,
                idempotency_key=submission.idempotency_key,
                submitter=submission.submitter,
                label=submission.label,
                owner=submission.owner,
            )
        )

    def plan(self, submission: Submission) -> SubmissionPlan:
        """Look at every stream as preflight would; start nothing. Raises as ``submit`` does."""
        config, runs = self._resolved(submission)
        require_sorter(config)
        require_offered(config.sorter.sorter_name, self._controller.sorters())
        planned = [
            PlannedRun(
                str(recording.name),
                stream,
                self._preflight.examine(ExamineTask(recording, stream, config)),
            )
            for recording, stream in runs
        ]
        return SubmissionPlan(config.to_document(), tuple(planned))

    def _resolved(
        self, submission: Submission
    ) -> tuple[SortingConfig, tuple[tuple[Recording, str], ...]]:
        """Return the configuration, and the streams of recordings that are to be sorted by it."""
        if not submission.recording_ids:
            raise RpcProblem(
                "INVALID_ARGUMENT",
                "a submission names at least one recording",
                field="recording_ids",
            )
        config = resolve(submission.preset, submission.overrides)
        require_client_settings(config, preset(submission.preset))
        found = self._recordings.described(submission.recording_ids)
        if submission.concatenate:
            joined = self._joined([recording for recording, _ in found], submission.owner)
            found = self._recordings.described((joined.recording_id,))
        wanted = submission.streams
        if config.recording.stream_id and not wanted:
            wanted = (config.recording.stream_id,)
        runs: dict[tuple[str, str], tuple[Recording, str]] = {}
        for recording, kept in found:
            for stream in self._streams(recording, kept, wanted, joined=submission.concatenate):
                _require_epoch(config, recording, stream)
                runs[recording.recording_id, stream] = (recording, stream)
            if len(runs) > MOST_ENTRIES:
                raise RpcProblem(
                    "TOO_LARGE",
                    f"the batch would have more than {MOST_ENTRIES} runs.",
                    field="recording_ids",
                )
        return config, tuple(runs.values())

    def _joined(self, recordings: Sequence[Recording], owner: str) -> Recording:
        """Return the recording that these become as one; one alone is itself."""
        parts = [part for recording in recordings for part in self._parts(recording, owner)]
        if len(parts) == 1:
            return parts[0]
        try:
            return self._recordings.add(join_recordings(parts), owner)
        except ValueError as error:
            raise RpcProblem("INVALID_ARGUMENT", str(error), field="recording_ids") from error

    def _parts(self, recording: Recording, owner: str) -> tuple[Recording, ...]:
        """Return what a recording contributes: its parts, those its folder holds, or itself."""
        if recording.parts:
            return recording.parts
        is_file = any(file.path == recording.entry for file in recording.files)
        if recording.missing or is_file or len(recording.files) < 2:
            return (recording,)
        answer = self._described(recording, list_members=True)
        failure = answer.failure if answer is not None else None
        if failure is not None and failure.evidence.get("reason") == _DIFFER:
            raise RpcProblem("RECORDINGS_DIFFER", failure.message, field="recording_ids")
        members = answer.members if answer is not None else ()
        found = [_member(recording, member) for member in members]
        return tuple(self._recordings.add(part, owner) for part in found) or (recording,)

    def _streams(
        self,
        recording: Recording,
        kept: KeptDescription | None,
        wanted: tuple[str, ...],
        *,
        joined: bool,
    ) -> tuple[str, ...]:
        """Return the streams to sort; ``joined`` makes one of the takes of a stream."""
        if recording.missing:
            return (ONLY_STREAM,)
        answer = _known_before(recording, kept) or self._described(recording)
        told = answer.description if answer is not None and answer.failure is None else None
        if told is None or not told.streams:
            return (ONLY_STREAM,)
        if recording.parts:
            chosen = [stream for stream in told.streams if not wanted or stream.stream in wanted]
            if chosen and all(stream.problem for stream in chosen):
                raise RpcProblem("RECORDINGS_DIFFER", chosen[0].problem, field="recording_ids")
        known = tuple(stream.stream for stream in told.streams)
        there = {*known, *told.other_streams}
        if joined:
            known = known if recording.parts else joined_streams([told])
            there |= set(known)
            wanted = tuple(
                name if name in there or name + ALL_TAKES not in there else name + ALL_TAKES
                for name in wanted
            )
        for stream in wanted:
            if stream not in there:
                listed = ", ".join(dict.fromkeys((*known, *told.other_streams)))
                raise RpcProblem(
                    "UNKNOWN_STREAM",
                    f"{recording.name} has no stream {stream!r}; it has {listed}.",
                    field="streams",
                    metadata={"known": listed},
                )
        return wanted or known

    def _described(self, recording: Recording, *, list_members: bool = False) -> Description | None:
        """Look at the recording, twice if need be; None when the look itself breaks both times.

        Raises ServiceError when the room is away or too slow: guessing would drop streams.
        """
        for _ in range(2):
            try:
                answer = self._preflight.describe(recording, list_members=list_members)
                self._keep(recording, answer)
                return answer
            except ServiceError as error:
                if error.reason not in _BROKEN_LOOK:
                    raise
        return None

    def _keep(self, recording: Recording, answer: Description) -> None:
        """Remember an answer without trouble; anything else is looked at again."""
        told = answer.description
        if answer.failure is None and told is not None and told.streams and not answer.members:
            kept = KeptDescription(reader_version(), told)
            self._recordings.keep_description(recording.recording_id, kept)


def _require_epoch(config: SortingConfig, recording: Recording, stream: str) -> None:
    """Refuse an epoch to judge by that the run will not have; of takes only curation knows."""
    index, known = config.curation.curation_epoch, max(1, len(recording.parts))
    if index is None or index < known or stream.endswith(ALL_TAKES):
        return
    names = ", ".join(f"{at} ({part.name})" for at, part in enumerate(recording.parts[:5]))
    raise InvalidConfigurationError(
        f"curation.curation_epoch is {index}, but {recording.name} has "
        f"{counted(known, 'recording epoch')}, counted from 0{names and ': '}{names}.",
        field="curation.curation_epoch",
        value=str(index),
    )


def _known_before(recording: Recording, kept: KeptDescription | None) -> Description | None:
    """Return what the same readers said of a recording whose bytes are untouched since."""
    if kept is None or kept.reader != reader_version() or not recording.is_untouched:
        return None
    return Description(kept.description)


def _member(folder: Recording, member: Member) -> Recording:
    """Return one recording of several in a folder as a recording of its own; its bytes stay.

    The member's entry and paths count from the folder's own entry. What is beside that came along
    for what is in it, as the settings of a Record Node for its experiments, and goes with each.
    """
    inside = f"{folder.entry}/" if folder.entry else ""
    entry = inside + member.entry
    wanted = {inside + path for path in member.paths}
    wanted |= {file.path for file in folder.files if not file.path.startswith(inside)}
    files = tuple(file for file in folder.files if file.path in wanted)
    stamps = tuple(
        stamp
        for file, stamp in zip(folder.files, folder.stamps, strict=False)  # () where not known
        if file.path in wanted
    )
    digest = digest_manifest(files)
    if folder.digest != digest_manifest(folder.files):
        # Its sender told the digests and nobody has checked them: what is in it stays its own.
        digest = digest_document([folder.digest, digest])
    name = replace(folder.name, name=safe_part(entry.replace("/", "-")))
    return replace(
        folder,
        recording_id=RecordingId(
            f"rec-{digest_document([folder.recording_id, entry, digest])[:16]}"
        ),
        name=name,
        files=files,
        digest=digest,
        entry=entry,
        stamps=stamps,
    )
