"""Builds the guards of one attempt from its configuration's ``execution`` group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from spikefleet.core.attempts import AttemptSpec, RunFolder
from spikefleet.core.config.execution import ExecutionConfig
from spikefleet.core.config.sorting import execution_of
from spikefleet.core.guards.base import Guard
from spikefleet.core.guards.gpu_reader import GpuReader, NoGpuReader
from spikefleet.infra.system.memory_reader import CGROUP_ROOT, PROC_CGROUP, MemoryReader
from spikefleet.infra.system.process_tree import ProcessTree
from spikefleet.infra.system.usage import AttemptUsage
from spikefleet.runner.guards.aside import GuardAside
from spikefleet.runner.guards.disk import DiskUsageWatchdog, ScratchBudget
from spikefleet.runner.guards.gpu_memory import GpuLimits, GpuMemoryWatchdog
from spikefleet.runner.guards.host_memory import HostMemoryWatchdog
from spikefleet.runner.guards.io_stall import DeviceIO, IOSource, IOStallWatchdog, ProcessIO
from spikefleet.runner.guards.log_inactivity import (
    LogInactivityWatchdog,
    compute_inactivity_timeout_s,
)
from spikefleet.runner.guards.quiet import Surroundings


@dataclass(frozen=True)
class CgroupPlaces:
    """Where the kernel shows cgroups; another tree in tests and odd containers."""

    root: Path = CGROUP_ROOT
    membership: Path = PROC_CGROUP


def make_memory_reader(spec: AttemptSpec, places: CgroupPlaces | None = None) -> MemoryReader:
    """Return the reader of this attempt's memory."""
    places = places or CgroupPlaces()
    return MemoryReader(places.root, places.membership, spec.memory_limit_bytes)


def _no_step() -> str:
    return ""


@dataclass(frozen=True)
class Watched:
    """What the guards of one attempt look at.

    ``gpu`` reads the attempt's device; ``step`` is the sorter's present step; ``log_names`` are
    the sorter's own log files.
    """

    folder: RunFolder
    memory: MemoryReader
    gpu: GpuReader = field(default_factory=lambda: NoGpuReader("no GPU reader was given"))
    step: Callable[[], str] = _no_step
    log_names: tuple[str, ...] = ()


def make_guards(spec: AttemptSpec, watched: Watched) -> list[Guard]:
    """Return the guards this attempt's configuration asks for, each at most once.

    Signals that may never answer (a dead mount, a hung driver) are read aside, so that the others
    stay watched. Raises ValueError for impossible thresholds.
    """
    settings = execution_of(spec.config)
    guards: list[Guard] = []
    if settings.host_ram_watchdog:
        guards.append(
            HostMemoryWatchdog(
                watched.memory,
                warn_pct=settings.host_ram_warn_pct,
                abort_pct=settings.host_ram_abort_pct,
                interval_s=settings.host_ram_poll_interval_s,
                own_pids=ProcessTree().pids,
            )
        )
    gpu = _make_gpu_guard(settings, watched.gpu) if spec.gpu and settings.gpu_watchdog else None
    if gpu is not None:
        guards.append(GuardAside(gpu))
    if settings.disk_watchdog:
        disk = DiskUsageWatchdog(
            watched.folder.root,
            warn_free_gb=settings.disk_warn_free_gb,
            abort_free_gb=settings.disk_abort_free_gb,
            interval_s=settings.disk_poll_interval_s,
            budget=ScratchBudget(spec.scratch_limit_bytes, _projected_scratch_bytes(spec)),
        )
        guards.append(GuardAside(disk))
    surroundings = Surroundings(
        ProcessTree(), watched.step, lambda: gpu.busy_ratio if gpu is not None else None
    )
    if settings.sorter_inactivity_timeout:
        guards.append(_make_silence_guard(settings, spec, watched, surroundings))
    if settings.io_stall_watchdog:
        guards.append(_make_io_guard(settings, watched))
    guards.append(GuardAside(_make_usage(spec, watched)))
    return guards


def _projected_scratch_bytes(spec: AttemptSpec) -> int:
    """What preflight projected for the sort; 0 where it could not."""
    projected = (spec.preflight.get("estimate") or {}).get("scratch_bytes")
    return int(projected) if isinstance(projected, (int, float)) else 0


def _make_usage(spec: AttemptSpec, watched: Watched) -> AttemptUsage:
    """What the attempt takes, its share of the prepared copies included."""
    shared = Path(spec.prepared_folder) if spec.prepared_folder else None
    return AttemptUsage(watched.folder.root, shared)


def _make_gpu_guard(settings: ExecutionConfig, reader: GpuReader) -> GpuMemoryWatchdog:
    limits = GpuLimits(
        warn_pct=settings.gpu_warn_pct,
        abort_pct=settings.gpu_abort_pct,
        warn_temp_c=settings.gpu_warn_temp_c,
        abort_temp_c=settings.gpu_abort_temp_c,
        watch_slowdowns=settings.gpu_monitor_throttle_reasons,
    )
    return GpuMemoryWatchdog(reader, limits, interval_s=settings.gpu_poll_interval_s)


def _make_silence_guard(
    settings: ExecutionConfig, spec: AttemptSpec, watched: Watched, surroundings: Surroundings
) -> Guard:
    timeout_s = compute_inactivity_timeout_s(
        settings.sorter_inactivity_base_s,
        settings.sorter_inactivity_per_min_s,
        spec.duration_s / 60.0,
        settings.sorter_inactivity_max_s,
    )
    return LogInactivityWatchdog(
        (watched.folder.child_log,),
        timeout_s=timeout_s,
        folder=watched.folder.sorter,
        log_names=watched.log_names,
        surroundings=surroundings,
    )


def _make_io_guard(settings: ExecutionConfig, watched: Watched) -> Guard:
    tree = ProcessTree(include_descendants=settings.io_stall_include_descendants)
    sources: list[IOSource] = [ProcessIO(tree)]
    if settings.io_stall_mode == "device":
        sources.insert(0, DeviceIO(watched.folder.root))
    return IOStallWatchdog(
        *sources, stall_s=settings.io_stall_s, interval_s=settings.io_stall_poll_interval_s
    )
