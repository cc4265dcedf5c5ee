"""One shared service for tests that leave it alive, and fresh ones for tests that kill it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.recordings import make_recording
from tests.support.service import Service

SORTER = "mountainsort5"  # the fastest of the shipped sorters on small recordings


@pytest.fixture(scope="session")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service; tests may submit to it but not stop it."""
    service = Service(tmp_path_factory.mktemp("shared-service") / "data").start()
    yield service
    service.close()


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start services that end with the test, however they were treated."""
    made: list[Service] = []

    def make(*arguments: str) -> Service:
        service = Service(tmp_path / f"data-{len(made)}", *arguments).start()
        made.append(service)
        return service

    yield make
    for service in made:
        service.close()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A small healthy recording of five units."""
    return make_recording(tmp_path, seconds=20.0, channels=16, units=4, seed=3).path
