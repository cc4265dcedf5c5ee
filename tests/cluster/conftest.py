"""One installation for the whole suite; without a cluster given for it, every test is skipped."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.installation import Installation
from tests.cluster.target import Target
from tests.support.recordings import make_recording

from spikefleet.client.sorting import SortingClient

_TARGET = Target.told()
_WITHOUT = "no cluster is given: make test-cluster KUBECONFIG=FILE"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a cluster, and say how to give one."""
    if _TARGET is not None:
        return
    for item in items:  # of the whole session: other suites may have an installation, too
        is_ours = item.path.is_relative_to(Path(__file__).parent)
        if is_ours and "installation" in getattr(item, "fixturenames", ()):
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


@pytest.fixture
def recording(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A small healthy recording, another for every test: a known one would not be sorted anew."""
    seed = zlib.crc32(request.node.name.encode())
    return make_recording(tmp_path, seconds=20.0, channels=16, units=4, seed=seed).path
