"""A server told to end under load: no call that it took fails, streams hear why they end."""

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.support.serving import Serving

from spikefleet.api.v1 import controller_pb2, controller_pb2_grpc
from spikefleet.infra.rpc.channels import dial
from spikefleet.infra.rpc.errors import ServiceError, ServiceUnreachable, answering
from spikefleet.infra.rpc.server import Registration, ServerOptions

STREAMS, CALLS_A_S, GRACE_S = 50, 100, 10.0


class Busy(controller_pb2_grpc.ControllerServiceServicer):
    """Streams that would last, and calls that take a while."""

    def __init__(self) -> None:
        self.taken = self.finished = 0

    async def GetRun(self, request, context):  # noqa: N802 - the wire's name
        self.taken += 1
        await asyncio.sleep(0.05)
        self.finished += 1
        return controller_pb2.GetRunResponse(run={"run_id": request.run_id})

    async def WatchRun(self, request, context):  # noqa: N802 - the wire's name
        yield controller_pb2.WatchRunResponse(run={"run_id": request.run_id})
        await asyncio.sleep(120)


class Crowd:
    """Fifty who watch, and callers who come a hundred times a second until nobody answers."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.watching = threading.Semaphore(0)
        self.ends: list[ServiceError] = []
        self.answers: Counter[str] = Counter()
        self.stop = threading.Event()

    def watch(self, number: int) -> None:
        try:
            with dial(self.address) as channel, answering(self.address):
                stub = controller_pb2_grpc.ControllerServiceStub(channel)
                for _ in stub.WatchRun(controller_pb2.WatchRunRequest(run_id=f"r{number}")):
                    self.watching.release()
        except ServiceError as error:
            self.ends.append(error)

    def call(self) -> None:
        """One call after the other on one channel, as a program makes them."""
        with dial(self.address) as channel:
            stub = controller_pb2_grpc.ControllerServiceStub(channel)
            while not self.stop.is_set():
                try:
                    with answering(self.address):
                        stub.GetRun(controller_pb2.GetRunRequest(run_id="x"), timeout=30)
                except ServiceUnreachable as error:
                    self.answers[error.reason] += 1
                    return  # it heard that the room is leaving: nothing was lost
                except ServiceError as error:
                    self.answers[f"lost: {error.reason}"] += 1
                    return
                self.answers["answered"] += 1
                time.sleep(10 / CALLS_A_S)


def test_draining_under_fifty_streams_and_a_hundred_calls_a_second_loses_none() -> None:
    add = controller_pb2_grpc.add_ControllerServiceServicer_to_server
    options = ServerOptions(grace_s=GRACE_S, unary_cap_s=30.0, calls_of_one_caller=1000)
    name = "spikefleet.api.v1.ControllerService"
    busy = Busy()
    server = Serving(lambda _: [Registration(name, busy, add)], options).start()
    crowd = Crowd(server.address)
    with ThreadPoolExecutor(STREAMS + 16) as pool:
        watches = [pool.submit(crowd.watch, number) for number in range(STREAMS)]
        for _ in range(STREAMS):
            assert crowd.watching.acquire(timeout=30)
        calls = [pool.submit(crowd.call) for _ in range(16)]
        time.sleep(2.0)
        began_s = time.monotonic()
        server.stop()
        took_s = time.monotonic() - began_s
        crowd.stop.set()
        for each in (*watches, *calls):
            each.result(timeout=30)
    assert took_s < GRACE_S
    assert crowd.answers["answered"] == busy.finished == busy.taken > 50
    assert set(crowd.answers) <= {"answered", "SERVICE_DRAINING", "UNREACHABLE"}
    assert len(crowd.ends) == STREAMS
    assert {end.reason for end in crowd.ends} == {"SERVICE_DRAINING"}
    assert {end.retry_after_s for end in crowd.ends} == {1.0}
