"""Sorting from a notebook: ``sort_recording`` and ``sort_multistream``.

Behind the scenes a service of one's own does the work, exactly as a facility's would; it ends with
the call, its results stay in ``results_folder``. Failures come back as results, never as gaps:
there is one result per input, in input order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import BatchView, RunUpdate, RunView
from spikefleet.core.failures.codes import RunStatus
from spikefleet.core.failures.errors import (
    CLASS_BY_CODE,
    AttemptInterrupted,
    Failure,
    InputMissingError,
)
from spikefleet.core.findings.next_step import next_step_for
from spikefleet.core.runs import RunState
from spikefleet.core.sorters.catalogue import DEFAULT_SORTER
from spikefleet.deploy.notebook_inputs import RefusedInput, list_inputs
from spikefleet.deploy.run_progress import RunBar, make_bars
from spikefleet.deploy.screen import Screen
from spikefleet.deploy.service_process import running_service
from spikefleet.infra.rpc.errors import ServiceError

OnUpdate = Callable[[RunUpdate], None]

_WRONG_INPUT = {
    "UNKNOWN_STREAM": "InvalidConfigurationError",
    "RECORDINGS_DIFFER": "InputCorruptError",
}
_WITH_REPORT = frozenset({RunState.SUCCEEDED, RunState.SKIPPED, RunState.FAILED})


@dataclass(frozen=True)
class RecordingResult:
    """How one input ended, in the words of ``recording_report.json``.

    ``results_folder`` holds the fetched files of the run (report, curated units, analyzer);
    ``wall_time_s`` is from submission to end; ``n_curated_units`` is None unless it succeeded.
    """

    rec_name: str  #: what it is called here
    rec_path: str  #: what was given
    stream: str  #: its well or probe
    status: RunStatus  #: how it ended
    results_folder: Path | None
    wall_time_s: float
    n_curated_units: int | None = None
    error_class: str | None = None  #: the failure's class
    error_message: str | None = None  #: its sentence
    next_step: str | None = None  #: what helps
    retries_used: int = 0  #: attempts beyond the first
    run_id: str = ""  #: the run
    evidence: Mapping[str, Any] = field(default_factory=dict)  #: of the failure

    @property
    def succeeded(self) -> bool:
        """True with a complete, verified result."""
        return self.status is RunStatus.SUCCESS

    def raise_if_failed(self) -> None:
        """Raise the failure as its class of the table, evidence as attributes; return if none.

        For code that sorts one recording and wants ``except GPUOutOfMemoryError``.
        """
        if self.succeeded:
            return
        classes = {cls.__name__: cls for cls in CLASS_BY_CODE.values()}
        cls = classes.get(self.error_class or "", AttemptInterrupted)
        raise cls(self.error_message or f"The run ended as {self.status}.", **self.evidence)


def sort_recording(
    recording_files: Any,
    sorter: str = DEFAULT_SORTER,
    *,
    results_folder: str | Path = "sorted",
    stream_id: str | None = None,
    on_update: OnUpdate | None = None,
    concatenate: bool = False,
    **overrides: Any,
) -> list[RecordingResult]:
    """Sort recordings on this machine; return one result per input, in order.

    An input is a path, or a recording object of SpikeInterface, which is saved below
    ``results_folder`` first; a list may hold both. What is neither has its result, too.

    With ``concatenate`` they are sorted as one recording, in the order given (a folder that holds
    several stands for them, in natural order), and there is one result; its
    ``curate/exports/<recording>`` folders hold what belongs to each.

    ``sorter`` is a sorter or a preset; ``overrides`` are configuration names (``snr_min=5.0``).
    A recording of several streams needs ``stream_id``, or ``sort_multistream``. ``on_update`` gets
    every update of every run; without it a bar on stderr tells how far each one is. Raises
    ServiceError for a configuration that is wrong for all of them; what is wrong with one recording
    is its result.
    """
    streams = () if stream_id is None else (stream_id,)
    folder = Path(results_folder).absolute()
    given = list_inputs(recording_files, folder / "recordings")
    refused = [entry for entry in given if isinstance(entry, RefusedInput)]
    if refused and (concatenate or len(refused) == len(given)):
        return [_refused(entry) for entry in (refused[:1] if concatenate else refused)]
    paths = [entry for entry in given if isinstance(entry, Path)]
    with (
        running_service(folder / ".service", ("--stop-attempts-on-exit",)) as service,
        SortingClient(service.address) as client,
    ):
        handed = [tuple(paths)] if concatenate else [(path,) for path in paths]
        submit = client.submit_concatenated if concatenate else client.submit
        submitted = [
            _submitted(partial(submit, together, sorter, streams=streams, **overrides), together)
            for together in handed
        ]
        results = []
        for together, (runs, problem) in zip(handed, submitted, strict=True):
            if problem is not None:
                results.append(problem)
            elif len(runs) > 1:
                results.append(_several_streams(client, together[0], runs))
            else:
                results.append(_finish(client, runs[0], together, folder, on_update))
        if concatenate:
            return results
        sorted_ones = iter(results)
        return [
            _refused(entry) if isinstance(entry, RefusedInput) else next(sorted_ones)
            for entry in given
        ]


def sort_multistream(
    recording_file: Any,
    sorter: str = DEFAULT_SORTER,
    *,
    stream_ids: Sequence[str] = (),
    results_folder: str | Path = "sorted",
    on_update: OnUpdate | None = None,
    **overrides: Any,
) -> dict[str, RecordingResult]:
    """Sort every stream (or those in ``stream_ids``) of one recording; return results by stream.

    Of several recordings each stream is sorted as one, in the order given. Unknown stream ids raise
    ServiceError, an input that is not a recording InputMissingError, before anything starts.
    """
    folder = Path(results_folder).absolute()
    given = list_inputs(recording_file, folder / "recordings")
    for entry in given:
        if isinstance(entry, RefusedInput):
            raise InputMissingError(f"{entry.message} {entry.next_step}", path=entry.name)
    paths = [entry for entry in given if isinstance(entry, Path)]
    with (
        running_service(folder / ".service", ("--stop-attempts-on-exit",)) as service,
        SortingClient(service.address) as client,
    ):
        submit = client.submit if len(paths) == 1 else client.submit_concatenated
        batch = submit(paths, sorter, streams=tuple(stream_ids), **overrides)
        return {
            run.run.stream: _finish(client, run, paths, folder, on_update) for run in batch.runs
        }


def _refused(entry: RefusedInput) -> RecordingResult:
    return RecordingResult(
        entry.name,
        "",
        "",
        RunStatus.INPUT_ERROR,
        None,
        0.0,
        error_class="InputMissingError",
        error_message=entry.message,
        next_step=entry.next_step,
    )


def _submitted(
    submit: Callable[[], BatchView], paths: Sequence[Path]
) -> tuple[tuple[RunView, ...], RecordingResult | None]:
    """Hand one recording in, or several as one. What is wrong with the input is its own result."""
    path = paths[0]
    try:
        return submit().runs, None
    except InputMissingError as error:
        failure = Failure.from_error(error)
        return (), _refused(RefusedInput(path.stem, failure.message, failure.next_step))
    except ServiceError as error:
        if error.reason not in _WRONG_INPUT:
            raise
        return (), RecordingResult(
            path.stem,
            ", ".join(map(str, paths)),
            "",
            RunStatus.INPUT_ERROR,
            None,
            0.0,
            error_class=_WRONG_INPUT[error.reason],
            error_message=error.message,
            next_step=error.next_step,
        )


def _several_streams(client: SortingClient, path: Path, runs: Sequence[RunView]) -> RecordingResult:
    names = ", ".join(run.run.stream for run in runs)
    for run in runs:
        client.cancel(run.run_id, "several streams, none chosen")
    return RecordingResult(
        path.stem,
        str(path),
        "",
        RunStatus.INPUT_ERROR,
        None,
        0.0,
        error_class="InvalidConfigurationError",
        error_message=f"{path.name} has {len(runs)} streams: {names}.",
        next_step="Choose one with stream_id=, or sort all with sort_multistream().",
    )


def _finish(
    client: SortingClient,
    run: RunView,
    paths: Sequence[Path],
    folder: Path,
    on_update: OnUpdate | None,
) -> RecordingResult:
    """Follow one run to its end and fetch what it left."""
    is_alone = len(paths) == 1
    called = paths[0].name if is_alone else run.run.recording_name.rpartition("/")[2]
    name = f"{called} {run.run.stream}".strip()
    with RunBar(make_bars(Screen(stderr=True)), name) as bar:
        for update in client.watch(run.run_id):
            (on_update or bar.show)(update)
    ended = client.get(run.run_id)
    results = folder / ended.run_id if ended.run.state in _WITH_REPORT else None
    if results is not None:
        client.fetch(ended.run_id, results)
    failure = ended.failure
    status = ended.run.status or RunStatus.ENVIRONMENT
    sorts = sum(1 for attempt in ended.attempts if str(attempt.stage) == "sort")
    return RecordingResult(
        rec_name=paths[0].stem if is_alone else called,
        rec_path=", ".join(map(str, paths)),
        stream=ended.run.stream,
        status=status,
        results_folder=results,
        wall_time_s=(ended.run.updated_at - ended.run.created_at).total_seconds(),
        n_curated_units=ended.result.get("n_units_curated") if ended.has_succeeded else None,
        error_class=failure.row.class_name if failure else None,
        error_message=failure.message if failure else None,
        next_step=next_step_for(failure) if failure else None,
        retries_used=max(0, sorts - 1),
        run_id=ended.run_id,
        evidence=dict(failure.evidence) if failure else {},
    )
