"""Where an attempt runs and what it may use: fixed before its first step, changed by none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikefleet.core.attempts import RunFolder
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore
from spikefleet.runner.guards.make import CgroupPlaces
from spikefleet.runner.interruption import Interruption
from spikefleet.runner.node_checks.facts import Given
from spikefleet.runner.node_checks.gpu_probe import ProbeAnswer, probe_cuda
from spikefleet.runner.reporting import ProgressSink
from spikefleet.runner.supervise import Timing
from spikefleet.runner.warm_child import WarmChild


def child_command(root: Path) -> list[str]:
    """The command line of the child that sorts."""
    return [sys.executable, "-P", "-m", "spikefleet.runner.child", str(root)]


@dataclass(frozen=True)
class ParentOptions:
    """What deployments and tests may choose."""

    #: The child's command, by the run folder.
    command: Callable[[Path], list[str]] = child_command
    timing: Timing = field(default_factory=Timing)  #: how often and how long things are waited for
    cgroups: CgroupPlaces = field(default_factory=CgroupPlaces)  #: where memory limits are read
    #: The interface /metrics listens on.
    metrics_address: str = "127.0.0.1"
    #: Waits (s) before a refused upload is tried again.
    upload_pauses_s: tuple[float, ...] = (1.0, 5.0)
    #: The devices CUDA shows us.
    gpu_ids: tuple[str, ...] = ()
    #: Digest of the container's image; "" where it is not known.
    image_digest: str = ""
    hdf5_plugin_path: str = ""  #: folders of vendors' plugins
    #: What the child sees of ours beside its own folders; None: everything, for tests.
    environment: Mapping[str, str] | None = None
    #: The process that becomes the first child, where the launcher left one.
    warm: WarmChild = field(default_factory=WarmChild)
    #: Stand for the driver's library and the computation on the GPU in tests.
    nvml: Any = None
    probe: Callable[[], ProbeAnswer] = probe_cuda  #: see ``nvml``

    @property
    def given(self) -> Given:
        """What the deployment knows of this place."""
        return Given(self.gpu_ids, self.image_digest, self.hdf5_plugin_path, self.nvml, self.probe)


@dataclass(frozen=True)
class Place:
    """The run folder, the store, who is told, what was chosen, and the ear for stop signals."""

    folder: RunFolder
    artifacts: ArtifactStore
    sink: ProgressSink
    options: ParentOptions
    interruption: Interruption
