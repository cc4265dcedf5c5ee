"""What a person may ask of runs: make a batch, cancel, try again. Writes records, starts nothing.

The reconcile loop finds what was written here and acts on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from spikefleet.controller.finished_result import entries_of, put_aside
from spikefleet.core.attempts import STAGES, Stage
from spikefleet.core.config import SortingConfig, config_digest, diff, sort_digest
from spikefleet.core.config.operators import require_client_settings
from spikefleet.core.config.runnable import require_offered, require_sorter
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.ids import RunId
from spikefleet.core.rooms.wishes import BatchWish, RetryWish
from spikefleet.core.run_result import Ending, RunResult
from spikefleet.core.runs import (
    Attempt,
    IllegalMoveError,
    Run,
    RunState,
    run_identity,
)
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.core.submissions import Recording
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.stores.sql.run_values import (
    BatchRecord,
    NewBatch,
    NewRun,
    RunChanges,
    StaleRunError,
)
from spikefleet.infra.stores.sql.runs import RunStore
from spikefleet.infra.stores.sql.sort_marks import sort_mark

_SORTER_NAME = "sorter.sorter_name"
_SORTING = frozenset({Stage.PREFLIGHT, Stage.SORT})
_AFTER_SORT = frozenset({Stage.CURATE, Stage.REPORT})


class LiveRunError(IllegalMoveError):
    """The run has not ended, so it cannot be started again."""

    refusal: ClassVar[str] = "RUN_NOT_ENDED"


class FinishedRunError(IllegalMoveError):
    """The run has a complete result; it is sorted again only when that is said."""

    refusal: ClassVar[str] = "RUN_HAS_RESULT"


class UnreachedStageError(IllegalMoveError):
    """The run has nothing yet that the wanted stage could work on."""

    refusal: ClassVar[str] = "STAGE_NOT_REACHED"


@dataclass(frozen=True)
class Wishes:
    """Carries out wishes on the records. ``offered`` are the sorters that can be run."""

    runs: RunStore
    recordings: RecordingStore
    offered: tuple[str, ...] = tuple(BACKENDS)

    def create_batch(self, wish: BatchWish) -> BatchRecord:
        """Make the batch; a run of the same recording, stream and configuration is not made again.

        One of this owner's that was cancelled, or that its input ended, starts again. Raises
        InvalidConfigurationError, RecordingNotFoundError; nothing is written then.
        """
        recordings = self.recordings.get_all([recording_id for recording_id, _ in wish.streams])
        streams = [stream for _, stream in wish.streams]
        wanted = new_runs(tuple(zip(recordings, streams, strict=True)), wish.config)
        require_offered(wish.config.sorter.sorter_name, self.offered)
        if not wanted:
            raise InvalidConfigurationError(
                "A submission needs at least one recording.", field="recording_ids", value=""
            )
        key = f"{wish.owner}/{wish.idempotency_key}" if wish.idempotency_key else ""
        batch = self.runs.create_batch(
            NewBatch(wish.submitter, wish.label, key, wanted, wish.owner)
        )
        asked = self.runs.restartable(batch.own_run_ids) if batch.own_run_ids else ()
        restarted = tuple(run_id for run_id in asked if self._restarted(run_id))
        return replace(batch, restarted_run_ids=restarted)

    def _restarted(self, run_id: RunId) -> bool:
        """Start again a run whose new submission can only mean that."""
        try:
            self.retry(RetryWish(run_id))
        except (IllegalMoveError, StaleRunError):
            return False  # somebody else has just done so
        return True

    def cancel(self, run_id: RunId, reason: str) -> Run:
        """Ask for the run's end. A terminal run is returned as it is."""
        return self.runs.request_cancel(run_id, reason)

    def retry(self, wish: RetryWish) -> Run:
        """Start an ended or held run again from the wished stage (default: where it failed).

        With overrides the configuration differs, so another run is made (or found) and returned.
        Raises LiveRunError while the run is still going, FinishedRunError where a complete result
        would be sorted again without ``force``, UnreachedStageError.
        """
        run = self.runs.get_run(wish.run_id)
        if wish.overrides:
            return self._changed(run, wish)
        if not run.is_terminal and run.state is not RunState.HELD:
            raise LiveRunError(_still_going(run))
        start = wish.stage or self._stopped_at(run)
        _check_start(run, start)
        if run.state is RunState.SUCCEEDED and start in _SORTING and not wish.force:
            raise FinishedRunError(f"Run {run.run_id} has a complete result.")
        redone = STAGES[STAGES.index(start) :]
        if Stage.SORT in redone:
            require_offered(run.backend, self.offered)
        fresh = Stage.SORT in redone and (wish.stage is Stage.SORT or _has_sort(run))
        return self._reopened(run, start, {"fresh_sort": fresh})

    def _reopened(self, run: Run, start: Stage, more: RunResult) -> Run:
        """Queue an ended or held run for ``start``, with all its tries back."""
        redone = STAGES[STAGES.index(start) :]
        attempts = self.runs.attempts_of(run.run_id)
        before = {
            str(entry): max((a.number for a in attempts if a.stage is entry), default=0)
            for entry in redone
        }
        result: RunResult = {
            "attempts_before": {**run.result.get("attempts_before", {}), **before},
            **put_aside(run),
            **more,
        }
        only_report = start is Stage.REPORT
        if only_report:
            result["ending"] = _ending(run)
        return self.runs.move_run(
            run,
            RunState.QUEUED,
            kind="run.retried",
            body={
                "stage": str(start),
                "attempts_before": before,
                "fresh": bool(more.get("fresh_sort")),
            },
            changes=RunChanges(
                stage=start,
                result=result,
                drop_result=("last_retry", *entries_of(redone)),
                clear_failure=not only_report,
                keep_failure=only_report,
                clear_status=True,
                cancel_requested=False,
                lane=run.backend,
            ),
        )

    def _changed(self, run: Run, wish: RetryWish) -> Run:
        """Make, find or start again the run of the same stream with other parameters.

        Parameters that leave the sort as it is need nothing but the finished sort: such a run
        begins behind its preflight, and the recording may be gone.
        """
        was = SortingConfig.from_document(run.config)
        config = was.override(**wish.overrides)
        require_client_settings(config, was)
        recording = self.recordings.get(run.recording_id)
        (new,) = new_runs(((recording, run.stream),), config)
        is_sorted = new.sort_digest == run.sort_digest and sort_mark(run.result) == "done"
        if wish.stage in _AFTER_SORT and not is_sorted:
            raise UnreachedStageError(
                f"Run {run.run_id} has no finished sort with these parameters to {wish.stage}."
            )
        if not is_sorted:
            require_offered(new.backend, self.offered)
        begin: RunResult = {}
        if is_sorted and wish.stage in (None, Stage.CURATE):
            begin = {"preflight": run.result.get("preflight", {})}
            new = replace(new, stage=Stage.SORT, result={**new.result, **begin})
        batch = self.runs.create_batch(NewBatch(run.submitter, "", "", (new,), wish.owner))
        found = self.runs.get_run(batch.run_ids[0])
        if not found.is_terminal or found.state is RunState.SUCCEEDED:
            return found
        if begin and not _has_sort(found):
            return self._reopened(found, Stage.SORT, begin)
        return self.retry(RetryWish(found.run_id, owner=wish.owner))

    def release(self, lane: str) -> int:
        """Open a lane; return how many runs are queued again.

        What an operator can repair (storage, a lease in the way) has its retries back.
        """
        return self.runs.release_hold(lane, after_release)

    def _stopped_at(self, run: Run) -> Stage:
        """The stage that failed or was left; of a run that was sorted, the sort."""
        if run.stage is not Stage.REPORT:
            return run.stage
        if run.state is RunState.CANCELLED and _ending(run)["state"] == RunState.SUCCEEDED:
            return Stage.REPORT
        if run.failure is not None:
            for attempt in reversed(self.runs.attempts_of(run.run_id)):
                if attempt.failure is not None and attempt.stage is not Stage.REPORT:
                    return attempt.stage
        return Stage.SORT if run.result.get("preflight") else Stage.PREFLIGHT


def after_release(run: Run, attempts: Sequence[Attempt]) -> RunChanges:
    """Return what changes with a run of a lane that is released: what was mended is told."""
    so_far: dict[str, int] = {}
    for attempt in attempts:
        so_far[str(attempt.stage)] = max(attempt.number, so_far.get(str(attempt.stage), 0))
    return RunChanges(result={"released_after": so_far}, lane=run.backend)


def _still_going(run: Run) -> str:
    """One sentence on what a run that has not ended is doing."""
    if run.is_stopping:
        return f"Run {run.run_id} is being cancelled; that takes a moment."
    match run.state:
        case RunState.QUEUED:
            return f"Run {run.run_id} has not ended: it is queued for its {run.stage} stage."
        case RunState.WAITING:
            due = run.not_before.isoformat(timespec="seconds") if run.not_before else "soon"
            return f"Run {run.run_id} has not ended: its next {run.stage} attempt is due {due}."
        case _:
            return f"Run {run.run_id} has not ended: its {run.stage} stage is running."


def _has_sort(run: Run) -> bool:
    return bool(run.result.get("sort_prefix"))


def _ending(run: Run) -> Ending:
    """How the run was going to end, or has ended."""
    now: Ending = {"state": str(run.state), "status": str(run.status)}
    return run.result.get("ending") or now


def _check_start(run: Run, start: Stage) -> None:
    """Raise UnreachedStageError when the run has nothing yet that ``start`` could work on."""
    if start is Stage.CURATE and not _has_sort(run):
        raise UnreachedStageError(f"Run {run.run_id} has no finished sort to curate.")
    if start is Stage.REPORT and not run.is_terminal:
        raise UnreachedStageError(
            f"Run {run.run_id} is {run.state} at its {run.stage} stage and has nothing to report."
        )


def new_runs(streams: Sequence[tuple[Recording, str]], config: SortingConfig) -> tuple[NewRun, ...]:
    """Return the run of each stream under one configuration, with the digests that identify it.

    Raises InvalidConfigurationError.
    """
    require_sorter(config)
    document, whole = config.to_document(), config_digest(config)
    changed = {name: value for name, (_, value) in diff(config).items() if name != _SORTER_NAME}
    return tuple(
        NewRun(
            recording_id=recording.recording_id,
            recording_name=str(recording.name),
            stream=stream,
            backend=config.sorter.sorter_name,
            config=document,
            config_digest=whole,
            sort_digest=sort_digest(config, _bytes_of(recording), stream),
            identity=_identity(recording, stream, whole),
            result={"changed_settings": changed} if changed else {},
        )
        for recording, stream in streams
    )


def _bytes_of(recording: Recording) -> str:
    """A recording that was missing when it was registered is never the same as another one."""
    return recording.recording_id if recording.missing else recording.digest


def _identity(recording: Recording, stream: str, whole: str) -> str:
    joined = tuple(part.digest for part in recording.parts)
    return run_identity(_bytes_of(recording), stream, whole, joined)


def summarise(runs: Sequence[Run]) -> str:
    """One honest sentence about a batch, for example "5 success, 1 unsortable"."""
    words: dict[str, int] = {}
    for run in runs:
        words[_word(run)] = words.get(_word(run), 0) + 1
    order = (
        "success",
        "unsortable",
        "input_error",
        "failed",
        "cancelled",
        "held",
        "under way",
    )
    return ", ".join(f"{words[word]} {word}" for word in order if word in words)


def _word(run: Run) -> str:
    is_settled = run.is_terminal or run.state is RunState.HELD
    return run.outcome if is_settled else "under way"
