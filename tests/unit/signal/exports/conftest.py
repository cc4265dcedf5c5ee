"""One fetched run for all exports, with a unit that curation rejected."""

from pathlib import Path

import pytest
from tests.support.fetched_run import write_fetched_run

from spikefleet.signal.exports.source import ExportSource, read_source


@pytest.fixture(scope="session")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fetched_run(tmp_path_factory.mktemp("fetched"), snr_min=12.0)


@pytest.fixture(scope="session")
def source(fetched: Path) -> ExportSource:
    return read_source(fetched)


@pytest.fixture(scope="session")
def everything(fetched: Path) -> ExportSource:
    return read_source(fetched, with_failed=True)


@pytest.fixture(scope="session")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> ExportSource:
    """A run whose units were all rejected."""
    folder = write_fetched_run(tmp_path_factory.mktemp("rejected"), snr_min=1e6)
    return read_source(folder)
