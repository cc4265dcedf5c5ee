"""The client's verbs against a real server that goes away and comes back."""

import hashlib
import threading
from dataclasses import replace
from datetime import UTC, datetime

import grpc
import pytest
from tests.support.serving import ROOM, Serving, serving

from spikefleet.api.v1 import (
    controller_pb2,
    controller_pb2_grpc,
    preflight_pb2,
    preflight_pb2_grpc,
    reporter_pb2,
    reporter_pb2_grpc,
    runner_pb2,
    runner_pb2_grpc,
)
from spikefleet.client.downloads import DamagedCopyError
from spikefleet.client.rooms import PreflightRoom
from spikefleet.client.run_reports import RunReports
from spikefleet.client.sorting import SortingClient
from spikefleet.client.views import Transfer
from spikefleet.core.attempts import Stage
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.rooms.preflight import ExamineTask
from spikefleet.core.runs import Heard, LeaseAnswer, LeaseRefusal, Run, RunEvent, RunState
from spikefleet.core.submissions import Recording, RecordingName
from spikefleet.infra.rpc.convert.runs import to_event, to_lease, to_run
from spikefleet.infra.rpc.convert.structs import from_struct, to_struct
from spikefleet.infra.rpc.convert.values import to_failure
from spikefleet.infra.rpc.errors import RpcProblem, ServiceError, ServiceUnreachable
from spikefleet.infra.rpc.server import Registration

NOW = datetime(2026, 11, 20, tzinfo=UTC)
RUN = Run(
    run_id="run-1", batch_id="batch-1", recording_id="rec-1", stream="", backend="kilosort4",
    config={}, config_digest="c", sort_digest="s", identity="i", state=RunState.RUNNING,
    stage=Stage.SORT, created_at=NOW, updated_at=NOW,
)  # fmt: skip
FILES = {"sorting/spikes.npy": bytes(range(256)) * 9000, "report.html": b"<html>", "empty": b""}


class History(controller_pb2_grpc.ControllerServiceServicer):
    """A run with six events; each watch tells two of them, then breaks off, until all are told."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.told = threading.Event()
        self.finished = False

    async def WatchRun(self, request, context):  # noqa: N802 - the wire's name
        self.asked.append(request.after_seq)
        for seq in (request.after_seq + 1, request.after_seq + 2):
            is_last = seq == 6
            state = RunState.SUCCEEDED if is_last else RunState.RUNNING
            event = RunEvent(seq, "run-1", "attempt.started", {}, NOW)
            yield controller_pb2.WatchRunResponse(
                run=to_run(replace(RUN, state=state)), events=[to_event(event)]
            )
            self.told.set()
        if len(self.asked) == 1:
            await context.abort(*_broken())
        # The second watch ends as if the run had; a third must be asked for.

    async def ListCurations(self, request, context):  # noqa: N802
        return controller_pb2.ListCurationsResponse()

    async def GetRun(self, request, context):  # noqa: N802
        if request.run_id == "unknown":
            raise RpcProblem("RUN_NOT_FOUND", "No run 'unknown'.", resource="unknown")
        state = RunState.SUCCEEDED if self.finished else RunState.RUNNING
        return controller_pb2.GetRunResponse(
            run=to_run(replace(RUN, run_id=request.run_id, state=state))
        )


def _broken() -> tuple[grpc.StatusCode, str]:
    """What a caller sees when the network breaks."""
    return grpc.StatusCode.UNAVAILABLE, "connection reset"


def _history(history: History):
    return lambda _: [
        Registration(
            "spikefleet.api.v1.ControllerService",
            history,
            controller_pb2_grpc.add_ControllerServiceServicer_to_server,
        )
    ]


def test_a_watch_goes_on_behind_the_last_event_it_saw() -> None:
    history = History()
    with serving(_history(history)) as server, SortingClient(server.address) as client:
        lost: list[str] = []
        updates = list(client.watch("run-1", on_lost=lambda error: lost.append(error.reason)))
    assert lost == ["UNREACHABLE", "STREAM_ENDED"]
    assert [event.seq for update in updates for event in update.events] == [1, 2, 3, 4, 5, 6]
    assert history.asked == [0, 2, 4]
    assert updates[-1].run.has_succeeded


def test_a_watch_gives_up_when_nobody_comes_back() -> None:
    history = History()
    server = Serving(_history(history)).start()
    with SortingClient(server.address, patience_s=1.0) as client:
        updates = client.watch("run-1")
        next(updates)
        server.stop()
        with pytest.raises(ServiceUnreachable):
            list(updates)


def test_waiting_survives_a_restart_and_answers_in_the_order_asked() -> None:
    history = History()
    first = Serving(_history(history)).start()
    answers = []
    with SortingClient(first.address, patience_s=30.0) as client:
        thread = threading.Thread(target=lambda: answers.extend(client.wait(["run-b", "run-a"])))
        thread.start()
        first.stop()
        history.finished = True
        with serving(_history(history), port=first.port):
            thread.join(20)
    assert [run.run_id for run in answers] == ["run-b", "run-a"]


def test_waiting_ends_at_its_timeout_and_names_what_goes_on() -> None:
    with serving(_history(History())) as server, SortingClient(server.address) as client:
        with pytest.raises(TimeoutError, match="run-1"):
            client.wait(["run-1"], timeout_s=0.2)
        with pytest.raises(ServiceError, match="unknown") as caught:
            client.wait(["unknown"])
    assert caught.value.reason == "RUN_NOT_FOUND"


class Shelf(reporter_pb2_grpc.ReporterServiceServicer):
    """A run's files; reading breaks off once per file, and one file may lie about its digest."""

    def __init__(self, lie: str = "", escape: str = "") -> None:
        self._lie, self._escape = lie, escape
        self.offsets: list[tuple[str, int]] = []

    async def ListArtifacts(self, request, context):  # noqa: N802
        files = {self._escape: b"x"} if self._escape else FILES
        return reporter_pb2.ListArtifactsResponse(
            artifacts=[
                reporter_pb2.Artifact(
                    key=f"runs/run-1/{path}",
                    path=path,
                    size_bytes=len(data),
                    sha256=hashlib.sha256(b"other" if path == self._lie else data).hexdigest(),
                )
                for path, data in files.items()
            ]
        )

    async def ReadArtifact(self, request, context):  # noqa: N802
        path = request.key.removeprefix("runs/run-1/")
        self.offsets.append((path, request.offset_bytes))
        data = FILES[path][request.offset_bytes :]
        for start in range(0, len(data), 1 << 20):
            yield reporter_pb2.ReadArtifactResponse(data=data[start : start + (1 << 20)])
            if request.offset_bytes == 0 and len(data) > 1 << 20:
                await context.abort(*_broken())


def _shelf(shelf: Shelf):
    return lambda address: [
        *_history(History())(address),
        Registration(
            "spikefleet.api.v1.ReporterService",
            shelf,
            reporter_pb2_grpc.add_ReporterServiceServicer_to_server,
        ),
    ]


def test_fetching_resumes_verifies_and_keeps_what_is_there(tmp_path) -> None:
    shelf = Shelf()
    with serving(_shelf(shelf)) as server, SortingClient(server.address) as client:
        told: list[Transfer] = []
        first = client.fetch("run-1", tmp_path, told.append)
        again = client.fetch("run-1", tmp_path)
    for path, data in FILES.items():
        assert (tmp_path / path).read_bytes() == data
    assert [file.is_new for file in first] == [True] * 3
    assert [file.is_new for file in again] == [False] * 3
    big = [offset for path, offset in shelf.offsets if path == "sorting/spikes.npy"]
    assert big == [0, 1 << 20]
    assert not list(tmp_path.rglob("*.part"))
    done = [transfer.done_bytes for transfer in told]
    assert done == sorted(done)
    assert [t.waiting for t in told if t.waiting] == ["waiting for the service, next try in 1 s"]
    assert done[-1] == told[-1].total_bytes == sum(map(len, FILES.values()))
    assert sum(transfer.path == "sorting/spikes.npy" for transfer in told) > 2, "within a file too"


def test_a_copy_with_other_bytes_is_not_left_behind(tmp_path) -> None:
    with serving(_shelf(Shelf(lie="report.html"))) as server:
        client = SortingClient(server.address)
        with pytest.raises(DamagedCopyError, match=r"report\.html"):
            client.fetch("run-1", tmp_path)
        client.close()
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("path", ["../outside", "/etc/x"])
def test_a_file_is_never_written_outside_the_folder(tmp_path, path) -> None:
    with (
        serving(_shelf(Shelf(escape=path))) as server,
        SortingClient(server.address) as client,
        pytest.raises(DamagedCopyError, match="not safe"),
    ):
        client.fetch("run-1", tmp_path / "in")
    assert not (tmp_path / "outside").exists()


class Checking(preflight_pb2_grpc.PreflightServiceServicer):
    """A preflight room with one finding of each kind."""

    async def Check(self, request, context):  # noqa: N802
        return preflight_pb2.CheckResponse(
            findings=[
                preflight_pb2.Finding(
                    level=preflight_pb2.FINDING_LEVEL_FAIL, code="flat", message="Flat.", category=1
                )
            ],
            estimate=preflight_pb2.ResourceEstimate(memory_bytes=5, duration_s=2.5),
            failure=to_failure(Failure(FailureCode.NO_GOOD_CHANNELS, "Flat.")),
            measurements=to_struct({"config": from_struct(request.config)}),
        )


def test_preflights_answer_comes_back_in_domain_words() -> None:
    recording = Recording("rec-1", RecordingName("a", "b", "c"), (), "d", "/x", in_place=True)

    def make(_: str) -> list[Registration]:
        add = preflight_pb2_grpc.add_PreflightServiceServicer_to_server
        return [Registration("spikefleet.api.v1.PreflightService", Checking(), add)]

    with serving(make) as server:
        room = PreflightRoom(server.address, ROOM)
        answer = room.examine(ExamineTask(recording, "", SortingConfig().override(snr_min=3.0)))
        room.close()
    assert (answer.findings[0].level, answer.findings[0].category) == ("fail", "biological")
    assert answer.failure is not None
    assert answer.failure.code is FailureCode.NO_GOOD_CHANNELS
    assert answer.estimate is not None
    assert answer.estimate.duration_s == 2.5
    assert answer.stream is None
    assert answer.measurements["config"]["curation"]["snr_min"] == 3


class Listening(runner_pb2_grpc.RunReportServiceServicer):
    """A controller that asks every attempt to stop."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.fractions: list[float] = []

    async def ReportProgress(self, request, context):  # noqa: N802
        self.fractions.append(request.progress.fraction)
        refused = to_lease(LeaseAnswer(LeaseRefusal.SUPERSEDED, "host/7/x", 3, 1.5))
        return runner_pb2.ReportProgressResponse(stop_requested=True, lease=refused)

    async def TakeLease(self, request, context):  # noqa: N802
        answer = LeaseAnswer(None, request.holder, 1, 60.0)
        return runner_pb2.TakeLeaseResponse(lease=to_lease(answer))

    async def ReportOutcome(self, request, context):  # noqa: N802
        self.ended.append(request.attempt_id)
        return runner_pb2.ReportOutcomeResponse()


def test_reports_of_an_attempt_arrive_and_never_raise_when_nobody_listens() -> None:
    listening = Listening()

    def make(_: str) -> list[Registration]:
        add = runner_pb2_grpc.add_RunReportServiceServicer_to_server
        return [Registration("spikefleet.api.v1.RunReportService", listening, add)]

    with serving(make) as server:
        reports = RunReports(server.address)
        heard = reports.progress("a-1", {"step": "sort", "fraction": 0.5}, "host/8/y")
        assert heard == Heard(True, LeaseAnswer(LeaseRefusal.SUPERSEDED, "host/7/x", 3, 1.5))
        granted = reports.take_lease("a-1", "host/8/y")
        assert granted == LeaseAnswer(None, "host/8/y", 1, 60.0)
        reports.end("a-1")
    assert reports.progress("a-1", {"step": "sort"}, "host/8/y") == Heard(False)
    assert reports.take_lease("a-1", "host/8/y") == LeaseAnswer(is_known=False)
    reports.end("a-1")
    reports.close()
    assert listening.fractions == [0.5]
    assert listening.ended == ["a-1"]
