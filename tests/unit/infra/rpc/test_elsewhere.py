"""Who calls a room that does not answer at an address is told which does."""

from dataclasses import dataclass

from spikefleet.infra.rpc.access import CALLS
from spikefleet.infra.rpc.elsewhere import ROOM_OF, Elsewhere

PACKAGE = "spikefleet.api.v1"


@dataclass
class Called:
    method: str


def called(name: str) -> Called:
    return Called(f"/{PACKAGE}.{name}")


def test_every_service_of_the_table_of_calls_is_a_rooms() -> None:
    assert {name.partition("/")[0] for name in CALLS} == set(ROOM_OF)


def test_only_calls_of_rooms_that_are_not_served_are_refused() -> None:
    elsewhere = Elsewhere([f"{PACKAGE}.IngestService"], {})
    assert elsewhere.service(called("ControllerService/GetRun")) is not None
    assert elsewhere.service(called("IngestService/Submit")) is None
    assert elsewhere.service(called("ControllerService/Invented")) is None
    assert elsewhere.service(Called("/grpc.health.v1.Health/Check")) is None


def test_a_room_of_two_services_is_served_whole() -> None:
    elsewhere = Elsewhere([f"{PACKAGE}.ControllerService"], {})
    assert elsewhere.service(called("RunReportService/TakeLease")) is None


def test_a_process_without_rooms_refuses_nothing_by_name() -> None:
    assert Elsewhere([], {}).service(called("ControllerService/GetRun")) is None
