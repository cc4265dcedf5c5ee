"""One installation for the whole suite; without a cluster given for it, every test is skipped."""

from collections.abc import Iterator

import pytest
from tests.cluster.installation import Installation
from tests.cluster.target import Target
from tests.e2e.conftest import recording

from spikefleet.client.sorting import SortingClient

__all__ = ["recording"]  # a fixture

_TARGET = Target.told()
_WITHOUT = "no cluster is given: make test-cluster KUBECONFIG=FILE"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a cluster, and say how to give one."""
    for item in items:
        if _TARGET is None and "installation" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=_WITHOUT))


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The chart, installed in a namespace of its own."""
    assert _TARGET is not None
    made = Installation(_TARGET, tmp_path_factory.mktemp("cluster"))
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture
def shared_service(installation: Installation) -> Installation:
    """What the scenarios of the embedded service ask for."""
    return installation


@pytest.fixture
def people(installation: Installation) -> Iterator[SortingClient]:
    """A client as a rig has it."""
    with installation.client() as client:
        yield client
