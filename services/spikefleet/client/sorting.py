"""``SortingClient``: submit recordings, follow their runs, fetch results. What a rig installs.

The verbs are those of the command line. Every call raises ServiceError when the service says no
and ServiceUnreachable when it does not answer; watching, waiting, uploading and fetching continue
after a restart of the service. Knows no science and prints nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from spikefleet.api.v1 import (
    controller_pb2,
    controller_pb2_grpc,
    ingest_pb2_grpc,
    reporter_pb2,
    reporter_pb2_grpc,
)
from spikefleet.client.curations import CurationCalls
from spikefleet.client.downloads import Downloader
from spikefleet.client.installation import InstallationCalls
from spikefleet.client.names import person, recording_name
from spikefleet.client.retry_waits import DEFAULT_PATIENCE_S, RetryWaits
from spikefleet.client.sending import RecordingSender
from spikefleet.client.views import (
    BatchView,
    FetchedFile,
    LogView,
    OnLost,
    OnTransfer,
    ReportView,
    RunPage,
    RunUpdate,
    RunView,
)
from spikefleet.client.waiting import wait_for
from spikefleet.core.attempts import Stage
from spikefleet.core.ids import RecordingId, RunId
from spikefleet.core.rooms.preflight import SubmissionPlan
from spikefleet.core.rooms.wishes import RetryWish
from spikefleet.core.runs import RunEvent, RunState
from spikefleet.core.sorters.catalogue import DEFAULT_SORTER
from spikefleet.core.submissions import Recording, RecordingName, Submission
from spikefleet.infra.rpc.channels import dial
from spikefleet.infra.rpc.convert.preflight import from_plan
from spikefleet.infra.rpc.convert.runs import (
    from_attempts,
    from_event,
    from_run,
    to_state,
)
from spikefleet.infra.rpc.convert.structs import from_struct
from spikefleet.infra.rpc.convert.wishes import (
    from_batch,
    from_made,
    to_plan_request,
    to_retry,
    to_submit,
)
from spikefleet.infra.rpc.errors import ServiceError, ServiceUnreachable, answering

_SUBMIT_DEADLINE_S = 900.0
_PLAN_DEADLINE_S = 3600.0

Paths = str | Path | Sequence[str | Path]


class SortingClient(InstallationCalls, CurationCalls):
    """A connection to the service at ``host:port``, or ``https://host`` behind TLS.

    Close it, or use it in a ``with`` block. ``ca_file`` (PEM) holds the certificate authorities of
    an institute's own; none: the public ones are trusted.
    ``patience_s`` is how long watching and copying keep trying while the service does not answer.
    """

    def __init__(
        self,
        address: str,
        *,
        patience_s: float = DEFAULT_PATIENCE_S,
        ca_file: Path | None = None,
    ) -> None:
        self.address = address
        self.patience_s = patience_s
        self._channel = dial(address, ca_file=ca_file)
        self._ingest = ingest_pb2_grpc.IngestServiceStub(self._channel)
        self._sender = RecordingSender(self._channel, address, self._patience, ca_file=ca_file)
        self._controller = controller_pb2_grpc.ControllerServiceStub(self._channel)
        self._reporter = reporter_pb2_grpc.ReporterServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; runs continue without it."""
        self._channel.close()

    def submit(
        self,
        paths: Paths,
        preset: str = DEFAULT_SORTER,
        *,
        name: str = "",
        streams: Sequence[str] = (),
        in_place: bool | None = None,
        progress: OnTransfer | None = None,
        **overrides: Any,
    ) -> BatchView:
        """Hand in one or more recordings and have every stream of them sorted.

        ``name`` is ``project/session/name`` for one recording, ``project/session`` (or
        ``project``) for several. ``in_place`` True leaves the bytes where they are, False uploads
        them; None leaves them when the service is on this machine and sees the same files.
        ``overrides`` are configuration names, for example ``snr_min=5.0``.
        """
        ids, label = self._hand_in(paths, name, in_place, progress)
        return self.sort(ids, preset, streams=streams, overrides=overrides, label=label)

    def submit_concatenated(
        self,
        paths: Paths,
        preset: str = DEFAULT_SORTER,
        *,
        name: str = "",
        streams: Sequence[str] = (),
        in_place: bool | None = None,
        **overrides: Any,
    ) -> BatchView:
        """Hand in recordings and have them sorted as one, in the order given: a run per stream.

        A folder that holds several stands for them, in natural order. Otherwise as ``submit``;
        ServiceError RECORDINGS_DIFFER names the two that do not belong together.
        """
        ids, label = self._hand_in(paths, name, in_place, None)
        return self.sort(
            ids, preset, streams=streams, overrides=overrides, concatenate=True, label=label
        )

    def _hand_in(
        self, paths: Paths, name: str, in_place: bool | None, progress: OnTransfer | None
    ) -> tuple[list[RecordingId], str]:
        """Add every recording; return their ids and a label for their batch."""
        listed = [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]
        names = [recording_name(name, path, alone=len(listed) == 1) for path in listed]
        added = self.add_recordings(listed, names, in_place=in_place, progress=progress)
        ids = [recording.recording_id for recording in added]
        return ids, name or ", ".join(path.name for path in listed)

    def add_recordings(
        self,
        paths: Sequence[Path],
        names: Sequence[RecordingName],
        *,
        in_place: bool | None = None,
        progress: OnTransfer | None = None,
    ) -> Sequence[Recording]:
        """Upload or register recordings to be submitted.

        Raises InputMissingError for a path at which nothing is, before anything is sent; with
        ``in_place`` the service looks, too.
        """
        return self._sender.send_all(paths, names, in_place=in_place, progress=progress)

    def add_recording(
        self,
        path: str | Path,
        *,
        name: RecordingName | None = None,
        in_place: bool | None = None,
        progress: OnTransfer | None = None,
    ) -> Recording:
        """Upload a recording or register it where it is; see ``submit`` for ``in_place``.

        A path that is not there is registered as missing.
        """
        path = Path(path).expanduser().absolute()
        name = name or recording_name("", path, alone=True)
        return self._sender.send(path, name, in_place=in_place, progress=progress)

    def sort(
        self,
        recording_ids: Sequence[str],
        preset: str = DEFAULT_SORTER,
        *,
        streams: Sequence[str] = (),
        overrides: dict[str, Any] | None = None,
        concatenate: bool = False,
        label: str = "",
    ) -> BatchView:
        """Have accepted recordings sorted, each alone or all as one (``concatenate``).

        The same work asked for twice is one run.
        """
        submission = Submission(
            recording_ids=tuple(map(RecordingId, recording_ids)),
            preset=preset,
            overrides=overrides or {},
            streams=tuple(streams),
            idempotency_key=uuid.uuid4().hex,
            submitter=person(),
            label=label,
            concatenate=concatenate,
        )
        with answering(self.address):
            answer = self._ingest.Submit(to_submit(submission), timeout=_SUBMIT_DEADLINE_S)
        return BatchView.of(from_made(answer))

    def plan(
        self,
        recording_ids: Sequence[str],
        preset: str = DEFAULT_SORTER,
        *,
        streams: Sequence[str] = (),
        overrides: dict[str, Any] | None = None,
        concatenate: bool = False,
    ) -> SubmissionPlan:
        """Look at what ``sort`` would make of accepted recordings; start nothing."""
        submission = Submission(
            recording_ids=tuple(map(RecordingId, recording_ids)),
            preset=preset,
            overrides=overrides or {},
            streams=tuple(streams),
            concatenate=concatenate,
        )
        request = to_plan_request(submission)
        with answering(self.address):
            return from_plan(self._ingest.PlanSubmission(request, timeout=_PLAN_DEADLINE_S))

    def get(self, run_id: str) -> RunView:
        """Return a run with its attempts."""
        with answering(self.address):
            answer = self._controller.GetRun(controller_pb2.GetRunRequest(run_id=run_id))
        return RunView(from_run(answer.run), from_attempts(answer.run))

    def get_batch(self, batch_id: str) -> BatchView:
        """Return a batch with its runs."""
        with answering(self.address):
            request = controller_pb2.GetBatchRequest(batch_id=batch_id)
            answer = self._controller.GetBatch(request)
        return BatchView.of(from_batch(answer.batch))

    def list(
        self,
        *,
        states: Sequence[RunState | str] = (),
        batch_id: str = "",
        page_size: int = 50,
        page_token: str = "",
    ) -> RunPage:
        """Return a page of runs, newest first."""
        request = controller_pb2.ListRunsRequest(
            page_size=page_size,
            page_token=page_token,
            states=[to_state(RunState(state)) for state in states],
            batch_id=batch_id,
        )
        with answering(self.address):
            answer = self._controller.ListRuns(request)
        return RunPage(tuple(RunView(from_run(run)) for run in answer.runs), answer.next_page_token)

    def events(self, run_id: str, after_seq: int = 0) -> tuple[RunEvent, ...]:
        """Return a run's history in order."""
        request = controller_pb2.ListRunEventsRequest(run_id=run_id, after_seq=after_seq)
        with answering(self.address):
            answer = self._controller.ListRunEvents(request)
        return tuple(from_event(event) for event in answer.events)

    def watch(
        self, run_id: str, *, after_seq: int = 0, on_lost: OnLost | None = None
    ) -> Iterator[RunUpdate]:
        """Yield updates until the run ends, or is held for an operator.

        After a lost connection it continues behind the last event it saw; ``on_lost`` is told of
        every try that met no service, and ServiceUnreachable is raised when nobody answers for
        ``patience_s``.
        """
        patience = self._patience()
        while True:
            request = controller_pb2.WatchRunRequest(run_id=run_id, after_seq=after_seq)
            try:
                with answering(self.address):
                    for answer in self._controller.WatchRun(request):
                        patience.restore()
                        events = tuple(from_event(event) for event in answer.events)
                        after_seq = max((after_seq, *(event.seq for event in events)))
                        update = RunUpdate(RunView(from_run(answer.run)), events)
                        yield update
                        if update.run.is_settled:
                            return
                lost = ServiceUnreachable("STREAM_ENDED", "The watch ended before the run did.")
            except ServiceUnreachable as error:
                lost = error
            if on_lost is not None:
                on_lost(lost)
            patience.wait(lost)

    def wait(
        self, run_ids: Sequence[str], *, timeout_s: float | None = None
    ) -> tuple[RunView, ...]:
        """Wait until every run has ended or is held; return them in the order given.

        Raises TimeoutError after ``timeout_s``; the runs continue.
        """
        return wait_for(self.get, run_ids, self._patience(), timeout_s)

    def cancel(self, run_id: str, reason: str = "") -> RunView:
        """Stop a run; one that has ended stays as it is."""
        request = controller_pb2.CancelRunRequest(run_id=run_id, reason=reason)
        with answering(self.address):
            return RunView(from_run(self._controller.CancelRun(request).run))

    def retry(
        self,
        run_id: str,
        stage: Stage | str | None = None,
        *,
        force: bool = False,
        **overrides: Any,
    ) -> RunView:
        """Start an ended run again, from the stage it ended in or an earlier one.

        With ``overrides`` it is a new run; the view returned tells its id. A run with a complete
        result is sorted again only with ``force``, and keeps that result until a new one is
        complete; ServiceError RUN_HAS_RESULT otherwise.
        """
        start = None if stage is None else Stage(stage)
        request = to_retry(RetryWish(RunId(run_id), start, overrides, force=force))
        with answering(self.address):
            return RunView(from_run(self._controller.RetryRun(request).run))

    def fetch(
        self,
        run_id: str,
        folder: str | Path,
        progress: OnTransfer | None = None,
        *,
        within: str = "",
        curation: str = "",
        overwrite: bool = False,
    ) -> tuple[FetchedFile, ...]:
        """Copy a run's files below ``folder``, each verified; files already there are kept.

        ``within`` is an artifact prefix: only the files below it are copied. ``curation`` names
        one of the run's; without it the chosen one is copied. A run that has made nothing yet
        gives no files. A folder holds one run: FolderTakenError where it holds another's, or files
        that were changed since they were fetched, unless ``overwrite``.
        """
        run = self.get(run_id).run
        asks = bool(curation or not within)
        found = self.curation_named(run_id, curation) if asks else None
        downloader = Downloader(self._channel, self.address, self._patience(), found)
        return tuple(
            downloader.fetch(run, Path(folder), progress, within=within, overwrite=overwrite)
        )

    def report(self, run_id: str) -> ReportView:
        """Return a run's report."""
        request = reporter_pb2.GetReportRequest(run_id=run_id)
        try:
            with answering(self.address):
                answer = self._reporter.GetReport(request)
        except ServiceError as error:
            if error.reason == "REPORT_NOT_FOUND":
                self.get(run_id)  # a mistyped id is told as one, not as a report to wait for
            raise
        return ReportView(from_struct(answer.report), answer.html_key)

    def log(self, run_id: str, *, attempt: int = 0, offset: int = 0) -> LogView:
        """Return at most 1 MiB of a sort attempt's log from ``offset`` (negative: from the end).

        ``attempt`` 0 is the last one. Raises ServiceError LOG_NOT_FOUND before the first.
        """
        request = controller_pb2.ReadLogRequest(run_id=run_id, attempt=attempt, offset_bytes=offset)
        with answering(self.address):
            part = self._controller.ReadLog(request)
        return LogView(part.attempt, part.data, part.offset_bytes, part.size_bytes, part.has_ended)

    def _patience(self) -> RetryWaits:
        return RetryWaits(self.patience_s)
