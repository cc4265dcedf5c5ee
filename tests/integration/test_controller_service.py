"""The controller behind its doors: real gRPC, a real loop, real processes."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest
from tests.support.about_runs import about_runs
from tests.support.attempts import wait_for
from tests.support.controlled import Controlled, answering
from tests.support.serving import ROOM, serving

from spikefleet.api.v1 import controller_pb2, controller_pb2_grpc
from spikefleet.client.rooms import ControllerRoom
from spikefleet.client.run_reports import RunReports
from spikefleet.client.sorting import SortingClient
from spikefleet.controller.reconcile import ReconcileLoop
from spikefleet.controller.servicer import registrations
from spikefleet.controller.stage_threads import StageResult
from spikefleet.core.attempts import Stage
from spikefleet.core.config import resolve
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure, InvalidConfigurationError
from spikefleet.core.rooms.wishes import BatchWish
from spikefleet.core.runs import Heard, LeaseAnswer, LeaseRefusal, RunState
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.infra.rpc.channels import dial
from spikefleet.infra.rpc.errors import ServiceError, service_error
from spikefleet.infra.stores.sql.run_leases import LEASE_S

PLUGIN_MISSING = StageResult(failure=Failure(FailureCode.HDF5_PLUGIN_MISSING, "No plugin."))


@dataclass
class Service:
    """A controller that is served and goes round by itself."""

    controlled: Controlled
    client: SortingClient
    address: str

    def submit(self, *names: str) -> list[str]:
        runs = tuple((self.controlled.recording(name), "") for name in names)
        config = resolve("kilosort4", {})
        room = ControllerRoom(self.address, ROOM)
        answer = room.create_batch(BatchWish(runs, config))
        room.close()
        return [run.run_id for run in answer.runs]

    def await_state(self, run_id: str, state: RunState) -> None:
        wait_for(lambda: self.client.get(run_id).state is state)


@pytest.fixture
def service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    plan, answers = getattr(request, "param", ("succeed", {}))
    controlled = Controlled(tmp_path, plan, answering(answers))
    loop = ReconcileLoop(controlled.reconciler, interval_s=0.05)

    def doors(address: str):  # type: ignore[no-untyped-def]
        about = about_runs(controlled.database, controlled.logs, address)
        return registrations(
            controlled.runs, controlled.access, controlled.wishes, loop.wake, about
        )

    with serving(doors) as served, SortingClient(served.address) as client:
        loop.start()
        yield Service(controlled, client, served.address)
        loop.stop()
    controlled.close()


def test_a_run_is_watched_from_its_first_event_to_its_end(service: Service) -> None:
    (run_id,) = service.submit("a")
    updates = list(service.client.watch(run_id))
    kinds = [event.kind for update in updates for event in update.events]
    assert (kinds[0], kinds[-1]) == ("run.created", "run.ended")
    assert updates[-1].run.state is RunState.SUCCEEDED
    seqs = [event.seq for update in updates for event in update.events]
    assert seqs == sorted(set(seqs))
    assert [event.kind for event in service.client.events(run_id)] == kinds


def test_a_sorter_that_is_not_offered_is_refused_with_those_that_are(service: Service) -> None:
    assert service.client.sorters() == tuple(BACKENDS)
    service.controlled.wishes = replace(service.controlled.wishes, offered=("lupin",))
    recording = service.controlled.recording("a")
    wish = BatchWish(((recording, ""),), resolve("kilosort4", {}))
    with pytest.raises(InvalidConfigurationError, match=r"offer.*'kilosort4'; it offers: lupin\."):
        service.controlled.wishes.create_batch(wish)
    assert service.client.list().runs == ()


@pytest.mark.parametrize("service", [("wait", {})], indirect=True)
def test_a_running_sort_reports_and_learns_that_it_is_to_stop(service: Service) -> None:
    (run_id,) = service.submit("a")
    wait_for(service.controlled.runs.live_attempts)
    wait_for(lambda: service.controlled.attempts(run_id)[-1] == "sort-1 running")
    attempt = service.controlled.runs.live_attempts()[0]
    service.controlled.access.keep_secret(attempt.attempt_id, "told")
    reports = RunReports(service.address, "told")
    said = {"step": "load", "fraction": 0.2, "updated_at": "2099-01-01T00:00:00+00:00"}
    assert reports.progress(attempt.attempt_id, said, "host/1/a") == Heard(
        False, LeaseAnswer(None, "host/1/a", 1, LEASE_S)
    )
    assert service.client.get(run_id).progress["step"] == "load"
    service.client.cancel(run_id, "enough")
    service.await_state(run_id, RunState.CANCELLED)
    late = reports.progress(attempt.attempt_id, {"step": "late"}, "host/1/a")
    assert late.stop_requested
    assert late.lease is not None
    assert late.lease.refusal is LeaseRefusal.ENDED
    assert service.client.get(run_id).progress.get("step") != "late"
    assert reports.progress("attempt-of-nobody", said, "host/1/a") == Heard(False)
    assert not reports.take_lease("attempt-of-nobody", "host/1/a").is_known
    reports.close()


@pytest.mark.parametrize(
    "service", [("succeed", {(Stage.PREFLIGHT, 1): PLUGIN_MISSING})], indirect=True
)
def test_a_hold_is_listed_with_its_reason_and_released(service: Service) -> None:
    (run_id,) = service.submit("a")
    service.await_state(run_id, RunState.HELD)
    (hold,) = service.client.holds()
    assert (hold.lane, hold.held_run_count) == ("hdf5-plugin", 1)
    assert "No plugin." in hold.reason
    assert service.client.release("hdf5-plugin") == 1
    service.await_state(run_id, RunState.SUCCEEDED)
    assert service.client.holds() == ()


def test_a_sorted_run_is_redone_when_asked_and_refused_while_it_goes(service: Service) -> None:
    (run_id,) = service.submit("a")
    service.await_state(run_id, RunState.SUCCEEDED)
    service.client.retry(run_id, Stage.CURATE)
    wait_for(lambda: "curate-2 succeeded" in service.controlled.attempts(run_id))
    service.await_state(run_id, RunState.SUCCEEDED)
    service.controlled.plan = "wait"
    with pytest.raises(ServiceError, match="has a complete result") as caught:
        service.client.retry(run_id, Stage.SORT)
    assert caught.value.reason == "RUN_HAS_RESULT"
    service.client.retry(run_id, Stage.SORT, force=True)
    with pytest.raises(
        ServiceError, match=r"has not ended: .*sort.*\. Wait until it has ended"
    ) as caught:
        service.client.retry(run_id)
    assert caught.value.reason == "RUN_NOT_ENDED"
    service.client.cancel(run_id)
    service.await_state(run_id, RunState.SUCCEEDED)
    assert service.client.get(run_id).result["last_retry"]["ended"] == "cancelled"


def test_a_log_is_read_while_its_sort_runs(service: Service) -> None:
    service.controlled.plan = "wait"
    (run_id,) = service.submit("a")
    wait_for(lambda: service.controlled.launcher.observe())
    (name,) = service.controlled.launcher.observe()
    (service.controlled.folder / "attempts" / name / "child.log").write_bytes(b"learning\n")
    part = service.client.log(run_id)
    assert (part.attempt, part.data, part.next_offset, part.has_ended) == (
        1,
        b"learning\n",
        9,
        False,
    )
    assert service.client.log(run_id, offset=part.next_offset).data == b""
    service.client.cancel(run_id)


@pytest.mark.parametrize(
    ("verb", "field"),
    [
        ("GetRun", "run_id"),
        ("GetBatch", "batch_id"),
        ("CancelRun", "run_id"),
        ("RetryRun", "run_id"),
        ("ListRunEvents", "run_id"),
        ("ReleaseHold", "lane"),
    ],
)
def test_an_empty_id_is_refused_by_its_field(service: Service, verb: str, field: str) -> None:
    request = getattr(controller_pb2, f"{verb}Request")()
    with dial(service.address) as channel:
        call = getattr(controller_pb2_grpc.ControllerServiceStub(channel), verb)
        with pytest.raises(grpc.RpcError) as caught:
            call(request)
    error = service_error(caught.value, service.address)
    assert (error.reason, error.field) == ("INVALID_ARGUMENT", field)


def test_a_batch_is_summed_up(service: Service) -> None:
    run_ids = service.submit("a", "b")
    for run_id in run_ids:
        service.await_state(run_id, RunState.SUCCEEDED)
    batch_id = service.client.get(run_ids[0]).run.batch_id
    assert service.client.get_batch(batch_id).summary == "2 success"


def test_the_loop_rests_when_nothing_moves_wakes_when_told_and_survives_an_error(
    tmp_path: Path,
) -> None:
    controlled = Controlled(tmp_path)
    attempts = tmp_path / "attempts"
    attempts.rmdir()  # nothing can be observed: every round fails
    loop = ReconcileLoop(controlled.reconciler, interval_s=30.0)
    before = threading.active_count()
    loop.start()
    time.sleep(0.2)
    assert controlled.rounds == 0
    attempts.mkdir()
    loop.wake()
    wait_for(lambda: controlled.rounds == 1)
    time.sleep(0.2)
    assert controlled.rounds == 1
    loop.stop()
    assert threading.active_count() == before
    controlled.close()
