"""A real service with a victim's run in it, and strangers who call it as other users.

After every attack the service must be healthy and the victim's run as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.support.hostile.zygotes import open_looking
from tests.support.recordings import make_recording
from tests.support.service import Service
from tests.support.strangers import OTHER_UID, STRANGER_UID, as_user

from spikefleet.api.v1 import (
    controller_pb2_grpc,
    curation_pb2_grpc,
    ingest_pb2_grpc,
    preflight_pb2_grpc,
    reporter_pb2_grpc,
    runner_pb2_grpc,
)
from spikefleet.client.views import RunView
from spikefleet.infra.rpc.channels import dial
from spikefleet.infra.rpc.errors import ServiceError, answering
from spikefleet.infra.system.openings import Zygote


@dataclass
class Attacker:
    """Raw calls of one user; ``refused`` makes one that must be refused and gives the refusal."""

    address: str
    channel: grpc.Channel

    def __post_init__(self) -> None:
        self.ingest = ingest_pb2_grpc.IngestServiceStub(self.channel)
        self.controller = controller_pb2_grpc.ControllerServiceStub(self.channel)
        self.preflight = preflight_pb2_grpc.PreflightServiceStub(self.channel)
        self.curation = curation_pb2_grpc.CurationServiceStub(self.channel)
        self.reporter = reporter_pb2_grpc.ReporterServiceStub(self.channel)
        self.reports = runner_pb2_grpc.RunReportServiceStub(self.channel)

    def refused(self, call: Any, request: Any, **options: Any) -> ServiceError:
        with pytest.raises(ServiceError) as caught, answering(self.address):
            _listen(call(request, **options))
        error = caught.value
        assert error.message
        assert error.next_step or error.reason in ("INVALID_ARGUMENT", "UNIMPLEMENTED")
        return error


def _listen(answer: Any) -> None:
    """Hear a stream to its end; an answer that came at once is heard already."""
    if isinstance(answer, Iterator):
        list(answer)


@dataclass
class Attacked:
    """The service under attack, its operator's run and its recording, and a folder for more."""

    service: Service
    victim: RunView
    folder: Path
    source: Path

    def is_healthy(self) -> bool:
        with grpc.insecure_channel(self.service.address) as channel:
            asked = health_pb2.HealthCheckRequest()
            answer = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=5)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@pytest.fixture(scope="module")
def attacked_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    folder = tmp_path_factory.mktemp("attacked")
    service = Service(folder / "data").start()
    path = make_recording(folder / "r", condition="silent").path
    with service.client() as client:
        batch = client.submit(path, "mountainsort5", in_place=True)
        (victim,) = client.wait([run.run_id for run in batch.runs], timeout_s=120)
    yield Attacked(service, victim, folder, path)
    service.close()


@pytest.fixture
def attacked(attacked_service: Attacked) -> Iterator[Attacked]:
    yield attacked_service
    assert attacked_service.is_healthy()
    with attacked_service.service.client() as client:
        now = client.get(attacked_service.victim.run_id)
    assert now.run.version == attacked_service.victim.run.version
    assert now.state == attacked_service.victim.state


@pytest.fixture(scope="module")
def stranger_address(attacked_service: Attacked) -> Iterator[str]:
    with as_user(STRANGER_UID, attacked_service.service.address) as address:
        yield address


@pytest.fixture
def stranger(stranger_address: str) -> Iterator[Attacker]:
    """Another user of this machine."""
    with dial(stranger_address) as channel:
        yield Attacker(stranger_address, channel)


@pytest.fixture
def other(attacked_service: Attacked) -> Iterator[Attacker]:
    """A third user."""
    with (
        as_user(OTHER_UID, attacked_service.service.address) as address,
        dial(address) as channel,
    ):
        yield Attacker(address, channel)


@pytest.fixture
def operator(attacked_service: Attacked) -> Iterator[Attacker]:
    """The user who runs the service, who has no room's and no attempt's secret either."""
    address = attacked_service.service.address
    with dial(address) as channel:
        yield Attacker(address, channel)


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """The warm process from which recordings are looked at, each in a copy of its own."""
    found = open_looking(tmp_path_factory.mktemp("openings"))
    yield found
    found.close()
