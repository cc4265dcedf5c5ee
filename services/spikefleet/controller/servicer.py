"""The controller's doors: ControllerService for people and rooms, RunReportService for runners.

Messages in, messages out; the records are read and written in threads so that the event loop never
waits for a disk. No decision is taken here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from spikefleet.api.v1 import (
    controller_pb2,
    controller_pb2_grpc,
    runner_pb2,
    runner_pb2_grpc,
)
from spikefleet.controller.attempt_logs import AttemptLogs
from spikefleet.controller.curations import Curations
from spikefleet.controller.heartbeats import reported_progress
from spikefleet.controller.wishes import Wishes, summarise
from spikefleet.core.attempts import AttemptState
from spikefleet.core.ids import AttemptId, BatchId, RunId
from spikefleet.core.rooms.wishes import BatchAnswer
from spikefleet.core.runs import Run, RunEvent, RunState
from spikefleet.infra.rpc.access import current_caller, require_own
from spikefleet.infra.rpc.blocking import CURATIONS, READS, REPORTS
from spikefleet.infra.rpc.bounds import LARGEST_PAGE
from spikefleet.infra.rpc.convert.between_rooms import from_batch_wish
from spikefleet.infra.rpc.convert.curations import from_curate_run, to_run_curation
from spikefleet.infra.rpc.convert.runs import from_progress, from_state, to_event, to_lease, to_run
from spikefleet.infra.rpc.convert.wishes import (
    from_retry,
    to_batch,
    to_hold,
    to_made,
)
from spikefleet.infra.rpc.errors import RpcProblem, require
from spikefleet.infra.rpc.server import Registration
from spikefleet.infra.stores.sql.run_access import RunAccess
from spikefleet.infra.stores.sql.run_values import BatchRecord
from spikefleet.infra.stores.sql.runs import RunStore

_DEFAULT_PAGE = 50
_MOST_HOLDER = 256  # characters of a process's name
# The bell wakes a watch at once; the poll is for what another process wrote.
_WATCH_POLL_S = 5.0
_LIVE = frozenset({AttemptState.INTENDED, AttemptState.RUNNING})
_SETTLED = frozenset({RunState.HELD})


@dataclass(frozen=True)
class AboutRuns:
    """What is asked of runs beside their records."""

    logs: AttemptLogs
    curations: Curations


class ControllerServicer(controller_pb2_grpc.ControllerServiceServicer):
    """Answers ControllerService. ``wake`` makes the reconcile loop look at once."""

    def __init__(
        self,
        runs: RunStore,
        access: RunAccess,
        wishes: Wishes,
        wake: Callable[[], None],
        about: AboutRuns,
    ) -> None:
        self._logs, self._curations = about.logs, about.curations
        self._runs = runs
        self._access = access
        self._wishes = wishes
        self._wake = wake

    async def CreateBatch(  # noqa: N802
        self, request: controller_pb2.CreateBatchRequest, context: Any
    ) -> controller_pb2.CreateBatchResponse:
        """Make runs."""
        answer = await READS.run(self._create_batch, request)
        self._wake()
        return answer

    def _create_batch(
        self, request: controller_pb2.CreateBatchRequest
    ) -> controller_pb2.CreateBatchResponse:
        record = self._wishes.create_batch(from_batch_wish(request))
        return to_made(self._batch(record), controller_pb2.CreateBatchResponse)

    async def GetBatch(  # noqa: N802
        self, request: controller_pb2.GetBatchRequest, context: Any
    ) -> controller_pb2.GetBatchResponse:
        """Return a batch with its runs."""
        require(batch_id=request.batch_id)
        record = await READS.run(self._runs.get_batch, BatchId(request.batch_id))
        batch = await READS.run(self._batch, record)
        return controller_pb2.GetBatchResponse(batch=to_batch(batch))

    async def GetRun(  # noqa: N802
        self, request: controller_pb2.GetRunRequest, context: Any
    ) -> controller_pb2.GetRunResponse:
        """Return a run with its attempts."""
        require(run_id=request.run_id)

        def read() -> controller_pb2.GetRunResponse:
            run = self._runs.get_run(RunId(request.run_id))
            attempts = self._runs.attempts_of(run.run_id)
            return controller_pb2.GetRunResponse(run=to_run(run, attempts))

        return await READS.run(read)

    async def ListRuns(  # noqa: N802
        self, request: controller_pb2.ListRunsRequest, context: Any
    ) -> controller_pb2.ListRunsResponse:
        """Return one page of runs, newest first."""
        if not request.page_size >= 0:
            raise RpcProblem("INVALID_ARGUMENT", "a page has 1 to 500 runs", field="page_size")
        size = min(request.page_size or _DEFAULT_PAGE, LARGEST_PAGE)

        def read() -> controller_pb2.ListRunsResponse:
            runs, token = self._runs.list_runs(
                states=tuple(from_state(state) for state in request.states),
                batch_id=BatchId(request.batch_id),
                limit=size,
                before=request.page_token,
            )
            return controller_pb2.ListRunsResponse(
                runs=[to_run(run) for run in runs], next_page_token=token
            )

        return await READS.run(read)

    async def WatchRun(  # noqa: N802
        self, request: controller_pb2.WatchRunRequest, context: Any
    ) -> AsyncIterator[controller_pb2.WatchRunResponse]:
        """Send the run whenever it or its progress changes; end when it has ended or is held."""
        require(run_id=request.run_id)
        after, last = request.after_seq, None
        with self._listening(RunId(request.run_id)) as changed:
            while True:
                changed.clear()
                run, events = await READS.run(self._look, RunId(request.run_id), after)
                seen = (run.version, dict(run.progress))
                if seen != last or events:
                    last = seen
                    after = events[-1].seq if events else after
                    yield await READS.run(_update, run, events)
                if run.is_terminal or run.state in _SETTLED:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), _WATCH_POLL_S)

    @contextmanager
    def _listening(self, run_id: RunId) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever this service writes something of the run."""
        changed, loop = asyncio.Event(), asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(changed.set)

        leave = self._runs.on_change(wake, run_id)
        try:
            yield changed
        finally:
            leave()

    async def ListRunEvents(  # noqa: N802
        self, request: controller_pb2.ListRunEventsRequest, context: Any
    ) -> controller_pb2.ListRunEventsResponse:
        """Return a run's history."""
        require(run_id=request.run_id)
        _, events = await READS.run(self._look, RunId(request.run_id), request.after_seq)
        return controller_pb2.ListRunEventsResponse(events=[to_event(event) for event in events])

    async def ReadLog(  # noqa: N802
        self, request: controller_pb2.ReadLogRequest, context: Any
    ) -> controller_pb2.ReadLogResponse:
        """Return a part of a sort attempt's log."""
        require(run_id=request.run_id)
        await self._require_own(RunId(request.run_id))
        attempt, part = await READS.run(
            self._logs.read, RunId(request.run_id), request.attempt, request.offset_bytes
        )
        return controller_pb2.ReadLogResponse(
            data=part.data,
            offset_bytes=part.offset,
            size_bytes=part.size_bytes,
            attempt=attempt.number,
            has_ended=attempt.state not in _LIVE,
        )

    async def CancelRun(  # noqa: N802
        self, request: controller_pb2.CancelRunRequest, context: Any
    ) -> controller_pb2.CancelRunResponse:
        """Ask for a run's end."""
        require(run_id=request.run_id)
        await self._require_own(RunId(request.run_id))
        run = await READS.run(self._wishes.cancel, RunId(request.run_id), request.reason)
        self._wake()
        return controller_pb2.CancelRunResponse(run=to_run(run))

    async def RetryRun(  # noqa: N802
        self, request: controller_pb2.RetryRunRequest, context: Any
    ) -> controller_pb2.RetryRunResponse:
        """Start a run again."""
        require(run_id=request.run_id)
        await self._require_own(RunId(request.run_id))
        wish = from_retry(request, current_caller().owner)
        run = await READS.run(self._wishes.retry, wish)
        self._wake()
        return controller_pb2.RetryRunResponse(run=to_run(run))

    async def CurateRun(  # noqa: N802
        self, request: controller_pb2.CurateRunRequest, context: Any
    ) -> controller_pb2.CurateRunResponse:
        """Curate a run's sort once more, beside its own curation."""
        require(run_id=request.run_id)
        await self._require_own(RunId(request.run_id))
        wish = from_curate_run(request, current_caller().owner)
        made, existed = await CURATIONS.run(self._curations.curate, wish)
        return controller_pb2.CurateRunResponse(curation=to_run_curation(made), existed=existed)

    async def ListCurations(  # noqa: N802
        self, request: controller_pb2.ListCurationsRequest, context: Any
    ) -> controller_pb2.ListCurationsResponse:
        """Return a run's curations."""
        require(run_id=request.run_id)
        listed = await READS.run(self._curations.listed, RunId(request.run_id))
        return controller_pb2.ListCurationsResponse(curations=map(to_run_curation, listed))

    async def ChooseCuration(  # noqa: N802
        self, request: controller_pb2.ChooseCurationRequest, context: Any
    ) -> controller_pb2.ChooseCurationResponse:
        """Say which curation is given out when none is named."""
        require(run_id=request.run_id, name=request.name)
        await self._require_own(RunId(request.run_id))
        owner = current_caller().owner
        chosen = await READS.run(self._curations.choose, RunId(request.run_id), request.name, owner)
        return controller_pb2.ChooseCurationResponse(curation=to_run_curation(chosen))

    async def ListSorters(  # noqa: N802
        self, request: controller_pb2.ListSortersRequest, context: Any
    ) -> controller_pb2.ListSortersResponse:
        """Return the sorters that may be submitted for."""
        return controller_pb2.ListSortersResponse(names=self._wishes.offered)

    async def ListHolds(  # noqa: N802
        self, request: controller_pb2.ListHoldsRequest, context: Any
    ) -> controller_pb2.ListHoldsResponse:
        """Return the lanes on hold."""
        holds = await READS.run(self._runs.holds)
        return controller_pb2.ListHoldsResponse(holds=[to_hold(hold) for hold in holds])

    async def ReleaseHold(  # noqa: N802
        self, request: controller_pb2.ReleaseHoldRequest, context: Any
    ) -> controller_pb2.ReleaseHoldResponse:
        """Open a lane again."""
        require(lane=request.lane)
        count = await READS.run(self._wishes.release, request.lane)
        self._wake()
        return controller_pb2.ReleaseHoldResponse(released_run_count=count)

    async def _require_own(self, run_id: RunId) -> None:
        """Refuse a caller whose batch did not make the run. Raises RpcProblem NOT_YOURS."""
        caller = current_caller()
        if not caller.is_operator:
            await READS.run(self._runs.get_run, run_id)
            owner = await READS.run(self._access.owner_of, run_id)
            require_own(caller, owner, f"Run {run_id}")

    def _look(self, run_id: RunId, after_seq: int) -> tuple[Run, list[RunEvent]]:
        run = self._runs.get_run(run_id)
        return run, self._runs.events(run_id, after_seq)

    def _batch(self, record: BatchRecord) -> BatchAnswer:
        runs = self._runs.summaries_of(record)
        return BatchAnswer(
            record.batch_id,
            tuple(runs),
            summarise(runs),
            record.existing_run_ids,
            record.restarted_run_ids,
        )


def _update(run: Run, events: list[RunEvent]) -> controller_pb2.WatchRunResponse:
    return controller_pb2.WatchRunResponse(
        run=to_run(run), events=[to_event(event) for event in events]
    )


class RunReportServicer(runner_pb2_grpc.RunReportServiceServicer):
    """Answers RunReportService: live progress in, the wish to stop out.

    Only the process that was started for an attempt is heard: it shows the attempt's secret.
    """

    def __init__(self, runs: RunStore, access: RunAccess, wake: Callable[[], None]) -> None:
        self._runs = runs
        self._access = access
        self._wake = wake

    async def TakeLease(  # noqa: N802
        self, request: runner_pb2.TakeLeaseRequest, context: Any
    ) -> runner_pb2.TakeLeaseResponse:
        """Let one process write an attempt's run."""
        require(attempt_id=request.attempt_id, holder=request.holder)
        await self._require_secret(AttemptId(request.attempt_id))
        answer = await REPORTS.run(
            self._runs.take_lease, AttemptId(request.attempt_id), request.holder
        )
        return runner_pb2.TakeLeaseResponse(lease=to_lease(answer))

    async def ReportProgress(  # noqa: N802
        self, request: runner_pb2.ReportProgressRequest, context: Any
    ) -> runner_pb2.ReportProgressResponse:
        """Keep the last word of a running attempt; one that the records have ended shall stop."""
        require(attempt_id=request.attempt_id)
        await self._require_secret(AttemptId(request.attempt_id))
        heard = await REPORTS.run(
            self._runs.hear,
            AttemptId(request.attempt_id),
            reported_progress(from_progress(request.progress), datetime.now(UTC)),
            request.holder[:_MOST_HOLDER],
        )
        return runner_pb2.ReportProgressResponse(
            stop_requested=heard.stop_requested,
            lease=to_lease(heard.lease) if heard.lease else None,
        )

    async def ReportOutcome(  # noqa: N802
        self, request: runner_pb2.ReportOutcomeRequest, context: Any
    ) -> runner_pb2.ReportOutcomeResponse:
        """Look at once; the outcome itself is read where it is on record."""
        require(attempt_id=request.attempt_id)
        await self._require_secret(AttemptId(request.attempt_id))
        self._wake()
        return runner_pb2.ReportOutcomeResponse()

    async def _require_secret(self, attempt_id: AttemptId) -> None:
        """Refuse whoever does not show the attempt's secret. Raises RpcProblem NOT_THE_ATTEMPT."""
        shown = current_caller().attempt_secret
        if not await REPORTS.run(self._access.has_secret, attempt_id, shown):
            raise RpcProblem("NOT_THE_ATTEMPT", "The caller does not show the attempt's secret.")


def registrations(
    runs: RunStore,
    access: RunAccess,
    wishes: Wishes,
    wake: Callable[[], None],
    about: AboutRuns,
) -> list[Registration]:
    """Return both doors as services to serve."""
    services = controller_pb2.DESCRIPTOR.services_by_name
    reports = runner_pb2.DESCRIPTOR.services_by_name
    return [
        Registration(
            services["ControllerService"].full_name,
            ControllerServicer(runs, access, wishes, wake, about),
            controller_pb2_grpc.add_ControllerServiceServicer_to_server,
        ),
        Registration(
            reports["RunReportService"].full_name,
            RunReportServicer(runs, access, wake),
            runner_pb2_grpc.add_RunReportServiceServicer_to_server,
        ),
    ]
