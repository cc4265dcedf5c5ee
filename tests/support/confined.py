"""Confined processes for tests: one warm process for all of them, as a service has."""

import asyncio
import os
from functools import lru_cache
from pathlib import Path

from spikefleet.core.rooms.curation import CurationAnswer, CurationTask
from spikefleet.core.rooms.reporting import ReportAnswer, ReportTask
from spikefleet.deploy.rooms.confined import ConfinedRooms, open_zygote
from spikefleet.deploy.settings import Settings, confined_environment
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.infra.stores.bytes.verified import VerifiedBytes
from spikefleet.infra.system.openings import Zygote
from spikefleet.reporter.render import write_report
from spikefleet.reporter.reports import gathered

_KERNELS = Path(os.environ.get("NUMBA_CACHE_DIR", Path.home() / ".cache" / "numba"))


@lru_cache(maxsize=1)
def shared_zygote() -> Zygote:
    """The zygote of this test process; it ends with it."""
    scratch = Path(os.environ.get("TMPDIR", "/tmp")) / f"spikefleet-openings-{os.getpid()}"
    return open_zygote(confined_environment(_KERNELS), scratch)


def make_rooms(
    data_dir: Path, artifacts: LocalArtifacts | None = None, **settings: object
) -> ConfinedRooms:
    """Preflight, curation and reporter on the artifacts below ``data_dir``."""
    chosen = Settings(data_dir=data_dir, **settings)
    store = artifacts or LocalArtifacts(data_dir / "artifacts")
    return ConfinedRooms(shared_zygote(), chosen, store)


def curate_sort(store: LocalArtifacts, task: CurationTask) -> CurationAnswer:
    """Curate a stored sort as the service does."""
    return asyncio.run(make_rooms(store.root.parent, store).curation.curate(task))


def render_report(store: LocalArtifacts, task: ReportTask) -> ReportAnswer:
    """Make and publish a report as the service does."""
    return asyncio.run(make_rooms(store.root.parent, store).reports.render(task))


def write_from(store: LocalArtifacts, task: ReportTask, folder: Path) -> None:
    """Write a report's files from what lies in the store, in this process."""
    with gathered(VerifiedBytes(store), task) as sources:
        write_report(sources, task, folder)
