"""A real server on the loopback: errors, deadlines, health, reflection, and a drain in order."""

import asyncio
import gc
import logging
import re
import socket
import subprocess
import sys
import threading
import time

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tests.support.serving import Serving, serving

from spikefleet.api.v1 import (
    controller_pb2,
    controller_pb2_grpc,
    reporter_pb2,
    reporter_pb2_grpc,
)
from spikefleet.client.sorting import SortingClient
from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.infra.metrics import Metrics
from spikefleet.infra.rpc.channels import dial, service_config
from spikefleet.infra.rpc.errors import (
    DETAILS_KEY,
    REQUEST_ID_KEY,
    RpcProblem,
    ServiceError,
    ServiceUnreachable,
    answering,
)
from spikefleet.infra.rpc.interceptors import current_request_id
from spikefleet.infra.rpc.server import Registration, RpcServer, ServerOptions
from spikefleet.infra.telemetry import RPC_HANDLED

SERVICE = "spikefleet.api.v1.ControllerService"


class Scripted(controller_pb2_grpc.ControllerServiceServicer):
    """A service whose answers are named by the id it is asked for."""

    def __init__(self) -> None:
        self.calls = 0
        self.entered = threading.Event()

    async def GetRun(self, request, context):  # noqa: N802 - the wire's name
        self.calls += 1
        self.entered.set()
        match request.run_id:
            case "missing":
                raise RpcProblem("RUN_NOT_FOUND", "No run 'missing'.", resource="missing")
            case "bad-config":
                raise InvalidConfigurationError("snr_min is not a number.", field="snr_min")
            case "bug":
                raise ZeroDivisionError("secret detail")
            case "slow":
                await asyncio.sleep(1.0)
            case "hang":
                await asyncio.sleep(30)
            case "flaky" if self.calls < 3:
                raise RpcProblem("STORAGE_UNAVAILABLE", "The disk is away.")
        return controller_pb2.GetRunResponse(run={"run_id": current_request_id()})

    async def WatchRun(self, request, context):  # noqa: N802 - the wire's name
        for _ in range(2):
            yield controller_pb2.WatchRunResponse(run={"run_id": request.run_id})
        if request.run_id != "short":
            await asyncio.sleep(60)

    async def ReleaseHold(self, request, context):  # noqa: N802 - the wire's name
        self.calls += 1
        raise RpcProblem("STORAGE_UNAVAILABLE", "The disk is away.")


def _registration(servicer: Scripted) -> Registration:
    return Registration(
        SERVICE, servicer, controller_pb2_grpc.add_ControllerServiceServicer_to_server
    )


@pytest.fixture
def scripted():
    return Scripted()


@pytest.fixture
def server(scripted):
    options = ServerOptions(grace_s=3.0, unary_cap_s=2.0)
    with serving(lambda _: [_registration(scripted)], options) as running:
        yield running


def _get(address: str, run_id: str, **call):
    with dial(address) as channel, answering(address):
        stub = controller_pb2_grpc.ControllerServiceStub(channel)
        return stub.GetRun(controller_pb2.GetRunRequest(run_id=run_id), **call)


def test_connections_that_say_nothing_are_bounded_and_let_go(scripted) -> None:
    crowd = ("grpc.max_allowed_incoming_connections", 8)
    options = ServerOptions(grace_s=2.0, handshake_s=0.5, extra=(crowd,))
    with serving(lambda _: [_registration(scripted)], options) as server:
        mute = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
        answer = _get(server.address, "x", timeout=20, wait_for_ready=True)
        assert answer.run.run_id
        for connection in mute:
            connection.settimeout(20)
            try:
                while connection.recv(4096):  # settings of the server, then its end
                    pass
            except ConnectionResetError:
                pass
            connection.close()


def test_a_refusal_carries_reason_resource_next_step_and_request_id(server) -> None:
    with pytest.raises(ServiceError) as caught:
        _get(server.address, "missing", metadata=[(REQUEST_ID_KEY, "from-the-rig")])
    error = caught.value
    assert (error.reason, error.message) == ("RUN_NOT_FOUND", "No run 'missing'.")
    assert error.request_id == "from-the-rig"
    assert error.details["resource"] == "missing"
    assert error.next_step


def test_details_are_what_any_grpc_client_can_read(server) -> None:
    with dial(server.address) as channel:
        stub = controller_pb2_grpc.ControllerServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetRun(controller_pb2.GetRunRequest(run_id="bad-config"))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    raw = dict(caught.value.trailing_metadata())[DETAILS_KEY]
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    details = status_pb2.Status.FromString(raw).details
    assert details[0].Unpack(info)
    assert details[1].Unpack(bad)
    assert (info.reason, info.domain) == ("INVALID_CONFIGURATION", "spikefleet")
    assert bad.field_violations[0].field == "snr_min"


def test_a_bug_leaves_as_an_opaque_id_that_the_log_explains(server, caplog) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(ServiceError) as caught:
        _get(server.address, "bug")
    error = caught.value
    assert error.reason == "INTERNAL"
    assert "secret" not in str(error)
    record = next(record for record in caplog.records if hasattr(record, "error_id"))
    assert record.error_id == error.details["error_id"]
    assert "secret detail" in caplog.text


def test_a_call_takes_no_longer_than_its_deadline_or_the_servers_cap(server) -> None:
    began_s = time.monotonic()
    with pytest.raises(ServiceError, match=r"longer deadline|Deadline"):
        _get(server.address, "hang", timeout=0.3)
    with pytest.raises(ServiceError) as caught:
        _get(server.address, "hang", timeout=20)
    assert caught.value.reason == "DEADLINE_EXCEEDED"
    assert time.monotonic() - began_s < 6


def test_only_repeatable_calls_are_tried_again(server, scripted) -> None:
    assert _get(server.address, "flaky").run.run_id
    assert scripted.calls == 3
    scripted.calls = 0
    with dial(server.address) as channel:
        stub = controller_pb2_grpc.ControllerServiceStub(channel)
        with pytest.raises(grpc.RpcError):
            stub.ReleaseHold(controller_pb2.ReleaseHoldRequest(lane="x"))
    assert scripted.calls == 1
    assert '"ReleaseHold"' not in service_config()


def test_nobody_there_is_unreachable_and_says_the_address() -> None:
    with pytest.raises(ServiceUnreachable, match=r"127\.0\.0\.1:1 "):
        _get("127.0.0.1:1", "any", timeout=5)


def test_health_and_reflection_name_the_services(server) -> None:
    with grpc.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE):
            answer = health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        (answer,) = stub.ServerReflectionInfo(iter([ask]))
        names = {entry.name for entry in answer.list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health"} <= names


def test_a_stream_its_caller_leaves_is_no_error_in_the_log(server, caplog) -> None:
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    for _ in range(5):
        with grpc.insecure_channel(server.address) as channel:
            asked = iter(lambda: ask, None)
            next(reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked))
    time.sleep(0.5)
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_every_call_is_counted_by_what_it_answered_streams_too(scripted) -> None:
    metrics = Metrics()
    options = ServerOptions(meter=metrics, grace_s=1.0)
    with serving(lambda _: [_registration(scripted)], options) as running:
        _get(running.address, "any")
        with pytest.raises(ServiceError):
            _get(running.address, "missing")
        with dial(running.address) as channel:
            stub = controller_pb2_grpc.ControllerServiceStub(channel)
            assert len(list(stub.WatchRun(controller_pb2.WatchRunRequest(run_id="short")))) == 2
            cancelled = stub.WatchRun(controller_pb2.WatchRunRequest(run_id="long"))
            next(cancelled)
            cancelled.cancel()
            time.sleep(0.3)
    text = metrics.render()
    for method, code in (
        ("GetRun", "OK"),
        ("GetRun", "NOT_FOUND"),
        ("WatchRun", "OK"),
        ("WatchRun", "CANCELLED"),
    ):
        line = f'{RPC_HANDLED.name}{{code="{code}",method="{method}",service="{SERVICE}"}} 1.0'
        assert any(
            set(row.split(" ")[-1:]) == {"1.0"} and _labels(row) == _labels(line)
            for row in text.splitlines()
        ), (method, code)


def _labels(row: str) -> set[str]:
    return set(row.partition("{")[2].rpartition("}")[0].split(","))


class Bystanders:
    """A watch, a health watch and a slow call, all open when the server goes away."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.updates = 0
        self.watch_end: ServiceError | None = None
        self.health: list[int] = []
        self.health_end: grpc.StatusCode | None = None
        self.answer = ""
        self._threads = [
            threading.Thread(target=work) for work in (self._watch, self._watch_health, self._call)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        while not self.health or self.updates != 2:
            time.sleep(0.01)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(10)

    def _watch(self) -> None:
        try:
            with dial(self.address) as channel, answering(self.address):
                stub = controller_pb2_grpc.ControllerServiceStub(channel)
                for _ in stub.WatchRun(controller_pb2.WatchRunRequest(run_id="long")):
                    self.updates += 1
        except ServiceError as error:
            self.watch_end = error

    def _watch_health(self) -> None:
        with grpc.insecure_channel(self.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            try:
                for answer in stub.Watch(health_pb2.HealthCheckRequest()):
                    self.health.append(answer.status)
            except grpc.RpcError as error:
                self.health_end = error.code()

    def _call(self) -> None:
        self.answer = _get(self.address, "slow", timeout=20).run.run_id


def test_streams_of_one_caller_are_bounded_and_room_comes_back_when_they_end(scripted) -> None:
    options = ServerOptions(grace_s=1.0, calls_of_one_caller=3)
    with (
        serving(lambda _: [_registration(scripted)], options) as running,
        dial(running.address) as channel,
    ):
        stub = controller_pb2_grpc.ControllerServiceStub(channel)
        request = controller_pb2.WatchRunRequest(run_id="long")
        streams = [stub.WatchRun(request) for _ in range(3)]
        for stream in streams:
            next(stream)
        with pytest.raises(ServiceError) as caught:
            _get(running.address, "x")
        assert caught.value.reason == "SERVICE_BUSY"
        for stream in streams:
            stream.cancel()
        until_s = time.monotonic() + 10
        while time.monotonic() < until_s:
            try:
                _get(running.address, "x")
                break
            except ServiceError:
                time.sleep(0.05)
        _get(running.address, "x")


def test_draining_ends_streams_with_a_hint_and_lets_calls_finish(scripted) -> None:
    options = ServerOptions(grace_s=10.0, unary_cap_s=30.0)
    server = Serving(lambda _: [_registration(scripted)], options).start()
    bystanders = Bystanders(server.address)
    bystanders.start()
    assert scripted.entered.wait(5)
    began_s = time.monotonic()
    server.stop()
    took_s = time.monotonic() - began_s
    bystanders.join()
    assert isinstance(bystanders.watch_end, ServiceUnreachable)
    assert bystanders.watch_end.reason == "SERVICE_DRAINING"
    assert bystanders.watch_end.retry_after_s == 1.0
    assert bystanders.answer, "the call in flight was cut off"
    status = health_pb2.HealthCheckResponse
    assert bystanders.health == [status.SERVING, status.NOT_SERVING]
    assert bystanders.health_end is grpc.StatusCode.UNAVAILABLE
    assert took_s < 4, "an open health watch must not use up the grace"


async def test_an_address_in_use_is_refused_with_its_name(server) -> None:
    second = RpcServer(server.address)
    with pytest.raises(OSError, match=f"listens at {server.address} already"):
        second.bind()
    await second.drain()


@pytest.mark.parametrize("address", ["no.such.host.invalid:7311", "127.0.0.1:x", "203.0.113.7:0"])
async def test_a_place_where_nothing_can_listen_is_refused_with_its_name(address: str) -> None:
    server = RpcServer(address)
    with pytest.raises(OSError, match=re.escape(address)):
        server.bind()
    await server.drain()


def test_grpc_says_nothing_beside_our_own_sentence_about_a_taken_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code = f"from spikefleet.infra.rpc.server import RpcServer; RpcServer({address!r}).bind()"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
    assert "listens at" in done.stderr
    assert "add_port" not in done.stderr


def test_a_call_of_another_room_is_refused_with_the_name_and_address_of_it() -> None:
    options = ServerOptions(grace_s=2.0, rooms={"reporter": "lab-reporter:7311"})
    with serving(lambda _: [_registration(Scripted())], options) as server:
        with SortingClient(server.address) as client, pytest.raises(ServiceError) as refused:
            client.report("run-1")
        assert refused.value.reason == "ANOTHER_ROOM"
        assert refused.value.message == (
            "The controller room answers at this address; ReporterService/GetReport is for the "
            "reporter room, which answers at lab-reporter:7311."
        )
        with pytest.raises(ServiceError) as streamed:
            _read_artifact(server.address)
        assert streamed.value.reason == "ANOTHER_ROOM"


def _read_artifact(address: str) -> None:
    """A call that is answered by a stream."""
    with dial(address) as channel, answering(address):
        stub = reporter_pb2_grpc.ReporterServiceStub(channel)
        list(stub.ReadArtifact(reporter_pb2.ReadArtifactRequest(key="runs/a/b")))


def test_an_address_that_knows_no_such_call_is_named() -> None:
    with serving(lambda _: []) as server, SortingClient(server.address) as client:
        with pytest.raises(ServiceError) as refused:
            client.get("run-1")
        assert refused.value.message.startswith(f"What answers at {server.address} does not know")
        assert refused.value.next_step.startswith("Check the address")
