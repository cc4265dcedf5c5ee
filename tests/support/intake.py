"""Fixtures of the ingest room on a real server, with a client, a raw stub and a folder to send."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.facility import PART_BYTES, Facility
from tests.support.serving import Serving, serving, write_bytes_file

from spikefleet.api.v1 import ingest_pb2_grpc
from spikefleet.client.sorting import SortingClient
from spikefleet.core.submissions import RecordingName
from spikefleet.infra.rpc.channels import dial
from spikefleet.infra.rpc.errors import ServiceError, answering

NAME = RecordingName("lab", "monday", "probe")


@pytest.fixture
def facility(tmp_path: Path) -> Facility:
    (tmp_path / "facility").mkdir()
    return Facility(tmp_path / "facility")


@pytest.fixture
def server(facility: Facility) -> Iterator[Serving]:
    with serving(facility.rooms) as running:
        yield running


@pytest.fixture
def client(server: Serving) -> Iterator[SortingClient]:
    with SortingClient(server.address, patience_s=20.0) as connected:
        yield connected


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of three files, one of several parts and one empty."""
    folder = tmp_path / "rig" / "night"
    folder.mkdir(parents=True)
    write_bytes_file(folder / "traces.bin", 3 * PART_BYTES + 12345)
    (folder / "meta").mkdir()
    write_bytes_file(folder / "meta" / "settings.xml", 1000, seed=2)
    (folder / "empty.dat").touch()
    return folder


@pytest.fixture
def stub(server: Serving) -> Iterator[ingest_pb2_grpc.IngestServiceStub]:
    with dial(server.address) as channel:
        yield ingest_pb2_grpc.IngestServiceStub(channel)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refusal(server: Serving, call: Any, *arguments: Any, **changes: Any) -> ServiceError:
    """Make a call that must be refused; return the refusal."""
    with pytest.raises(ServiceError) as caught, answering(server.address):
        call(*arguments, **changes)
    return caught.value
