"""The rooms that work in confined processes, wired to one zygote of this machine.

Decides how many calls of a kind run at once: a room that is slow or attacked makes no other wait.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from spikefleet.curation.sorts import CONFINED as CURATION
from spikefleet.curation.sorts import SortCuration
from spikefleet.deploy.settings import Settings
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore
from spikefleet.infra.stores.bytes.verified import VerifiedBytes
from spikefleet.infra.system.confinement import missing_layers
from spikefleet.infra.system.openings import Limits, OpeningPool, Zygote
from spikefleet.preflight.openings import CONFINED as PREFLIGHT
from spikefleet.preflight.openings import Openings
from spikefleet.preflight.places import PreflightPlaces
from spikefleet.reporter.reports import CONFINED as REPORTER
from spikefleet.reporter.reports import Reports

log = logging.getLogger(__name__)

_DESCRIBED_AT_ONCE, _EXAMINED_AT_ONCE, _MADE_AT_ONCE = 4, 2, 2
_KERNELS = "spikefleet.signal.filtering.numba_kernels:compile_now"


def open_zygote(environment: Mapping[str, str], folder: Path) -> Zygote:
    """Start the process that confined ones are forked from; say loudly what cannot be kept away.

    ``environment`` is all they see of ours, ``folder`` is where their scratch is.
    """
    for missing in missing_layers():
        log.warning("service.not_fully_confined", extra={"missing": missing})
    zygote = Zygote((PREFLIGHT, CURATION, REPORTER, _KERNELS), environment, folder)
    zygote.warm()
    return zygote


class ConfinedRooms:
    """Preflight, curation and reporter of one service, each with pools of its own."""

    def __init__(self, zygote: Zygote, settings: Settings, artifacts: ArtifactStore) -> None:
        limits = Limits(
            wall_s=settings.opening_limit_s,
            cpu_s=int(settings.opening_limit_s),
            memory_bytes=settings.opening_memory_bytes,
        )
        plugins = zygote.environment.get("HDF5_PLUGIN_PATH", "").split(":")
        self.openings = Openings(
            OpeningPool(zygote, _DESCRIBED_AT_ONCE),
            OpeningPool(zygote, _EXAMINED_AT_ONCE),
            artifacts,
            PreflightPlaces(artifacts.url, str(settings.data_dir / "attempts")),
            limits,
            tuple(path for path in plugins if path),
        )
        verified = VerifiedBytes(artifacts)
        self.curation = SortCuration(OpeningPool(zygote, _MADE_AT_ONCE), verified, limits)
        self.reports = Reports(OpeningPool(zygote, _MADE_AT_ONCE), verified, limits)
