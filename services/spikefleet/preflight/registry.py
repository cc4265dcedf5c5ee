"""What the checks of a recording may look at, and the run of all of them.

A check reads ``Facts`` and returns a finding or None; it opens nothing and raises nothing. Checks
run in the order of their registration. The first finding that carries a failure decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.errors import SpikeSortingClassifiedError
from spikefleet.core.findings.checks import Checks
from spikefleet.core.findings.finding import Finding
from spikefleet.core.recording.measurements import SignalMeasurements
from spikefleet.core.rooms.preflight import ResourceEstimate
from spikefleet.core.sorters.row import BackendInfo
from spikefleet.signal.measuring.geometry import Geometry


@dataclass(frozen=True)
class HostFacts:
    """The service's machine. None means that it could not be read.

    ``sorts_here`` is False where the sort will use another one.
    """

    free_scratch_bytes: int | None = None
    free_results_bytes: int | None = None
    available_memory_bytes: int | None = None
    scratch_writable: bool | None = None
    results_writable: bool | None = None
    spikeinterface_version: str = ""
    scratch: str = ""
    sorts_here: bool = True


@dataclass(frozen=True)
class Facts:
    """Everything checks may look at.

    ``read_error`` is what opening or measuring raised, ``verdict`` what the signal proves.
    ``truth`` are the doubts about what the file says of itself.
    ``kept_s`` is the length left by the configured windows, ``recorded_s`` that of the recording;
    ``pending_changes`` are the settings that were changed although they have no effect yet.
    ``entry`` is the file a reader opens, ``config`` the resolved configuration, ``projection``
    what the sort will need.
    """

    backend: BackendInfo  #: the sorter's row
    host: HostFacts = field(default_factory=HostFacts)  #: the service's machine
    measured: SignalMeasurements | None = None  #: of the signal
    verdict: SpikeSortingClassifiedError | None = None
    read_error: SpikeSortingClassifiedError | None = None
    kept_s: float | None = None
    sampling_rate_hz: float | None = None  #: of the stream
    channel_count: int | None = None  #: of the stream
    truth: tuple[Finding, ...] = ()
    pending_changes: tuple[str, ...] = ()
    recorded_s: float | None = None
    entry: str = ""
    config: SortingConfig = field(default_factory=SortingConfig)
    geometry: Geometry | None = None  #: where its contacts are
    projection: ResourceEstimate | None = None

    @property
    def sorter_params(self) -> Mapping[str, Any]:
        """The sorter's own parameters that were given."""
        return self.config.sorter.sorter_params or {}


CHECKS: Checks[Facts] = Checks()
check = CHECKS.check


def run_preflight(facts: Facts, *, strict: bool = False) -> tuple[Finding, ...]:
    """Run every check; worst findings first, otherwise in order. ``strict`` makes warnings fail."""
    return CHECKS.run(facts, strict=strict)
