"""What a person may ask of runs: make a batch, cancel, try again. Writes records, starts nothing.

The reconcile loop finds what was written here and acts on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from spikefleet.core.attempts import STAGES, Stage
from spikefleet.core.backends.catalogue import BACKENDS
from spikefleet.core.config import SortingConfig, config_digest, sort_digest
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.runs import IllegalMoveError, Run, RunState, run_identity
from spikefleet.core.submissions import Recording
from spikefleet.infra.stores.recordings import RecordingStore
from spikefleet.infra.stores.run_records import BatchRecord, NewBatch, NewRun, RunChanges
from spikefleet.infra.stores.runs import RunStore

_PRODUCED = {
    Stage.PREFLIGHT: ("preflight",),
    Stage.SORT: ("sort_prefix", "n_units_sorted", "n_spikes", "sort_reused_from", "params"),
    Stage.CURATE: ("curation_prefix", "n_units_curated"),
    Stage.REPORT: ("report_prefix", "report_html", "ending"),
}


@dataclass(frozen=True)
class BatchWish:
    """Runs to make: ``streams`` are (recording id, stream) in order, ``config`` is resolved."""

    streams: Sequence[tuple[str, str]]
    config: Mapping[str, Any]
    idempotency_key: str = ""
    submitter: str = ""
    label: str = ""


@dataclass(frozen=True)
class Requests:
    """Carries out wishes on the records."""

    runs: RunStore
    recordings: RecordingStore
    clock: Callable[[], datetime]

    def create_batch(self, wish: BatchWish) -> BatchRecord:
        """Make the batch; a run of the same recording, stream and configuration is not made again.

        Raises InvalidConfigurationError, RecordingNotFoundError; nothing is written then.
        """
        config = SortingConfig.from_document(wish.config)
        new_runs = tuple(
            new_run(self.recordings.get(recording_id), stream, config)
            for recording_id, stream in wish.streams
        )
        if not new_runs:
            raise InvalidConfigurationError(
                "A submission needs at least one recording.", field="recording_ids", value=""
            )
        return self.runs.create_batch(
            NewBatch(wish.submitter, wish.label, wish.idempotency_key, new_runs)
        )

    def cancel(self, run_id: str, reason: str) -> Run:
        """Ask for the run's end. A terminal run is returned as it is."""
        return self.runs.request_cancel(run_id, reason)

    def retry(self, run_id: str, stage: Stage | None, overrides: Mapping[str, Any]) -> Run:
        """Start an ended or held run again from ``stage`` (default: the stage that failed).

        With overrides the configuration differs, so another run is made (or found) and returned.
        Raises IllegalMoveError while the run is still going.
        """
        run = self.runs.get_run(run_id)
        if overrides:
            config = SortingConfig.from_document(run.config).override(**overrides)
            recording = self.recordings.get(run.recording_id)
            batch = self.runs.create_batch(
                NewBatch(run.submitter, "", "", (new_run(recording, run.stream, config),))
            )
            return self.runs.get_run(batch.run_ids[0])
        if not run.is_terminal and run.state is not RunState.HELD:
            raise IllegalMoveError(
                f"run {run_id} is {run.state}; cancel it first, or wait until it has ended"
            )
        start = stage or self._failed_stage(run)
        redone = STAGES[STAGES.index(start) :]
        return self.runs.move_run(
            run,
            RunState.QUEUED,
            kind="run.retried",
            body={"stage": str(start)},
            changes=RunChanges(
                stage=start,
                result={
                    "retried_at": self.clock().isoformat(),
                    "fresh_sort": Stage.SORT in redone,
                },
                drop_result=tuple(name for entry in redone for name in _PRODUCED[entry]),
                clear_failure=True,
                clear_status=True,
                cancel_requested=False,
            ),
        )

    def _failed_stage(self, run: Run) -> Stage:
        """The stage of the last failed attempt before the report; the sort when none failed."""
        for attempt in reversed(self.runs.attempts_of(run.run_id)):
            if attempt.failure is not None and attempt.stage is not Stage.REPORT:
                return attempt.stage
        return Stage.SORT if run.result.get("preflight") else Stage.PREFLIGHT


def new_run(recording: Recording, stream: str, config: SortingConfig) -> NewRun:
    """Return the run of one stream under one configuration, with the digests that identify it.

    A recording that was missing when it was registered is never the same as another one.
    """
    backend = config.sorter.sorter_name
    if backend not in BACKENDS:
        known = ", ".join(sorted(BACKENDS))
        raise InvalidConfigurationError(
            f"This service has no sorter called {backend!r}; choose one of {known}.",
            field="sorter.sorter_name",
            value=backend,
        )
    digest = recording.recording_id if recording.missing else recording.digest
    whole = config_digest(config)
    return NewRun(
        recording_id=recording.recording_id,
        recording_name=str(recording.name),
        stream=stream,
        backend=backend,
        config=config.to_document(),
        config_digest=whole,
        sort_digest=sort_digest(config, digest, stream),
        identity=run_identity(digest, stream, whole),
    )


def summarise(runs: Sequence[Run]) -> str:
    """One honest sentence about a batch, for example "5 sorted, 1 unsortable"."""
    words: dict[str, int] = {}
    for run in runs:
        words[_word(run)] = words.get(_word(run), 0) + 1
    order = (
        "sorted",
        "unsortable",
        "input error",
        "given up",
        "failed",
        "cancelled",
        "held",
        "under way",
    )
    return ", ".join(f"{words[word]} {word}" for word in order if word in words)


def _word(run: Run) -> str:
    match run.state:
        case RunState.SUCCEEDED:
            return "sorted"
        case RunState.SKIPPED:
            words = {"input_error": "input error", "unsortable": "unsortable"}
            return words.get(str(run.status), "given up")
        case RunState.FAILED:
            return "failed"
        case RunState.CANCELLED:
            return "cancelled"
        case RunState.HELD:
            return "held"
        case _:
            return "under way"
