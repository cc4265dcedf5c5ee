"""What the machine that sorts has: read once, before the sorter, without loading any of it.

Nothing here judges, and nothing raises: what cannot be read is None or empty. Versions come from
the installed metadata, torch's CUDA from its version file, the GPU's state from NVML; only the
probe of the GPU computes something, in a process of its own.
"""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spikefleet.core.config.execution import ExecutionConfig
from spikefleet.core.guards.gpu_reader import GpuUnreadable
from spikefleet.core.sorters.row import BackendInfo
from spikefleet.infra.gpus import GpuIdentity, identify_gpu
from spikefleet.infra.system.memory_reader import MemoryReader
from spikefleet.runner.node_checks.gpu_probe import ProbeAnswer, probe_cuda
from spikefleet.signal.formats.plugin_folders import list_plugin_folders

_HDF5_SUFFIXES = frozenset({".h5", ".hdf5", ".nwb", ".brw"})
_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?P<rest>[^;]*);?.*$")
_EXTRA = re.compile(r"extra\s*==\s*['\"](?P<extra>[\w-]+)['\"]")
_BOUND = re.compile(r"(?P<sign>>=|<)\s*(?P<version>[\d.]+)")
_CUDA = re.compile(r"^cuda\b[^=\n]*=\s*['\"](?P<version>\d+\.\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Given:
    """What a deployment knows of the place an attempt runs in. Empty: it was not told.

    ``gpu_ids`` are the devices CUDA shows us; ``nvml`` and ``probe`` stand for the driver's library
    and the computation on the GPU in tests.
    """

    gpu_ids: tuple[str, ...] = ()
    image_digest: str = ""
    hdf5_plugin_path: str = ""
    nvml: Any = None
    probe: Callable[[], ProbeAnswer] = probe_cuda


@dataclass(frozen=True)
class Wanted:
    """What one attempt asks of the machine; bytes are projections, 0 where none was made."""

    backend: BackendInfo  #: the sorter's row
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)  #: the execution group
    gpu: bool = False  #: whether it has a GPU slot
    entry: str = ""  #: the file a reader opens
    hdf5_plugin_path: str = ""  #: the configured folder of vendors' plugins
    scratch_limit_bytes: int = 0  #: that the file system does not show
    memory_limit_bytes: int = 0  #: of the attempt's own; 0: it has what the machine has
    scratch_bytes: int = 0  #: to be written
    memory_bytes: int = 0  #: to be taken
    gpu_memory_bytes: int = 0  #: to be taken of the GPU

    @property
    def reads_hdf5(self) -> bool:
        """Whether the recording may need a vendor's HDF5 plugin."""
        return Path(self.entry).suffix.lower() in _HDF5_SUFFIXES


@dataclass(frozen=True)
class SoftwareFacts:
    """What is installed, by distribution.

    ``missing`` are those the sorter's extra asks for and that are not there; ``unfound`` when the
    sorter's own package is recorded as installed but cannot be found. ``tested`` are the versions
    [low, high) our own metadata asks for; "" is not a bound.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    unfound: bool = False
    tested: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    torch_cuda: str = ""


@dataclass(frozen=True)
class NodeFacts:
    """Everything the checks of a machine may look at."""

    wanted: Wanted  #: what the attempt asks
    software: SoftwareFacts = field(default_factory=SoftwareFacts)  #: what is installed
    scratch: str = ""  #: the folder it works in
    free_scratch_bytes: int | None = None  #: free there
    scratch_writable: bool | None = None  #: whether it takes files
    available_memory_bytes: int | None = None  #: left of the fullest limit
    open_files: int | None = None  #: how many may be open
    processes: int | None = None  #: how many there may be
    gpu: GpuIdentity | GpuUnreadable | None = None  #: the device, or why it cannot be read
    probe: ProbeAnswer | None = None  #: what it computed
    image_digest: str = ""  #: of the container
    hdf5_plugin_path: str = ""  #: folders of vendors' plugins in force
    lost_plugin_folder: str = ""  #: a configured one that is not there

    def to_json(self) -> dict[str, Any]:
        """Return what the record of an attempt keeps of the machine."""
        kept: dict[str, Any] = {
            "host": platform.node(),
            "free_scratch_bytes": self.free_scratch_bytes,
            "available_memory_bytes": self.available_memory_bytes,
            "open_files": self.open_files,
            "processes": self.processes,
            "versions": dict(self.software.versions),
            "image_digest": self.image_digest,
        }
        if isinstance(self.gpu, GpuIdentity):
            kept["gpu"] = {
                "uuid": self.gpu.uuid,
                "model": self.gpu.name,
                "driver": self.gpu.driver_version,
                "free_bytes": self.gpu.free_bytes,
            }
        elif self.gpu is not None:
            kept["gpu"] = {"unreadable": self.gpu.reason}
        return {name: value for name, value in kept.items() if value not in (None, "")}


def gather_facts(
    wanted: Wanted, scratch: Path, given: Given, memory: MemoryReader | None = None
) -> NodeFacts:
    """Read the machine for one attempt whose files are in or below ``scratch``."""
    place = next((path for path in (scratch, *scratch.parents) if path.exists()), None)
    sample = (memory or MemoryReader()).read()
    gpu = identify_gpu(given.gpu_ids, given.nvml) if wanted.gpu else None
    # What stands in the attempt's own container is its own, and part of what was projected.
    is_own = sample is not None and sample.limit_bytes <= wanted.memory_limit_bytes
    held = 0.0 if sample is None or is_own else sample.working_set_bytes
    return NodeFacts(
        wanted=wanted,
        software=read_software(wanted.backend),
        scratch=str(place or scratch),
        free_scratch_bytes=None if place is None else shutil.disk_usage(place).free,
        scratch_writable=place is not None and place.is_dir() and os.access(place, os.W_OK),
        available_memory_bytes=int(sample.limit_bytes - held) if sample else None,
        open_files=_soft_limit(resource.RLIMIT_NOFILE),
        processes=_soft_limit(getattr(resource, "RLIMIT_NPROC", None)),
        gpu=gpu,
        probe=given.probe() if _worth_probing(gpu) else None,
        image_digest=given.image_digest,
        hdf5_plugin_path=wanted.hdf5_plugin_path or given.hdf5_plugin_path,
        lost_plugin_folder=_lost_plugin_folder(wanted, given),
    )


def read_software(backend: BackendInfo) -> SoftwareFacts:
    """Read which of the distributions a sorter needs are installed, and which were tested."""
    ranges = _required(backend.extra) if backend.extra else {}
    names = {*ranges, *([backend.distribution] if backend.distribution else [])}
    found = {name: installed for name in sorted(names) if (installed := _installed(name))}
    own = backend.distribution
    return SoftwareFacts(
        versions=found,
        missing=tuple(sorted(names - found.keys())),
        unfound=bool(own and own in found and _find_package(own) is None),
        tested=ranges,
        torch_cuda=_torch_cuda(),
    )


def _worth_probing(gpu: GpuIdentity | GpuUnreadable | None) -> bool:
    """A device that is known to be absent or lost need not be asked to compute."""
    return isinstance(gpu, GpuIdentity) or (gpu is not None and not (gpu.is_absent or gpu.is_lost))


def _lost_plugin_folder(wanted: Wanted, given: Given) -> str:
    """The configured folders, where none holds a plugin; the environment's only where needed."""
    is_asked_for = bool(list_plugin_folders(wanted.hdf5_plugin_path))
    text = wanted.hdf5_plugin_path if is_asked_for else given.hdf5_plugin_path
    folders = list_plugin_folders(text)
    if not folders or not (is_asked_for or wanted.reads_hdf5):
        return ""
    return "" if any(_holds_files(folder) for folder in folders) else text


def _holds_files(folder: str) -> bool:
    try:
        return any(Path(folder).iterdir())
    except OSError:
        return False


def _soft_limit(name: int | None) -> int | None:
    """The soft limit; None where there is none."""
    if name is None:
        return None
    soft, _hard = resource.getrlimit(name)
    return None if soft == resource.RLIM_INFINITY else int(soft)


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _required(extra: str) -> dict[str, tuple[str, str]]:
    """Distribution and tested range [low, high) of everything one of our extras asks for."""
    try:
        lines = requires("spikefleet") or []
    except PackageNotFoundError:
        return {}
    found = {}
    for line in lines:
        marker, match = _EXTRA.search(line), _REQUIREMENT.match(line)
        if match is None or marker is None or marker["extra"] != extra:
            continue
        bounds = {b["sign"]: b["version"] for b in _BOUND.finditer(match["rest"])}
        found[match["name"]] = (bounds.get(">=", ""), bounds.get("<", ""))
    return found


def _find_package(name: str) -> Path | None:
    """Where a top-level package is, without importing it."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin else None


def _torch_cuda() -> str:
    """The CUDA torch was built for, from its version file; "" for a CPU build or without torch."""
    package = _find_package("torch")
    try:
        text = package.with_name("version.py").read_text(encoding="utf-8") if package else ""
    except OSError:
        return ""
    found = _CUDA.search(text)
    return found["version"] if found else ""
