"""Builds the guards of one attempt from its configuration's ``execution`` group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from spikefleet.core.attempts import AttemptSpec, RunFolder
from spikefleet.core.guards.base import Guard
from spikefleet.core.guards.disk import DiskUsageWatchdog
from spikefleet.core.guards.host_memory import (
    CGROUP_ROOT,
    PROC_CGROUP,
    HostMemoryWatchdog,
    MemoryReader,
)
from spikefleet.core.guards.log_inactivity import (
    LogInactivityWatchdog,
    compute_inactivity_timeout_s,
)


@dataclass(frozen=True)
class GuardSettings:
    """The part of the ``execution`` group that guards read, under the same names."""

    host_ram_watchdog: bool = True
    host_ram_warn_pct: float = 85.0
    host_ram_abort_pct: float = 92.0
    host_ram_poll_interval_s: float = 2.0
    disk_watchdog: bool = True
    disk_warn_free_gb: float = 5.0
    disk_abort_free_gb: float = 1.0
    disk_poll_interval_s: float = 10.0
    sorter_inactivity_timeout: bool = True
    sorter_inactivity_base_s: float = 600.0
    sorter_inactivity_per_min_s: float = 30.0
    sorter_inactivity_max_s: float | None = 7200.0

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> GuardSettings:
        """Pick our fields out of a resolved configuration; absent ones keep their default."""
        execution = config.get("execution", {})
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in execution.items() if name in names})


@dataclass(frozen=True)
class CgroupPlaces:
    """Where the kernel shows cgroups; another tree in tests and odd containers."""

    root: Path = CGROUP_ROOT
    membership: Path = PROC_CGROUP


def make_memory_reader(spec: AttemptSpec, places: CgroupPlaces | None = None) -> MemoryReader:
    """Return the reader of this attempt's memory."""
    places = places or CgroupPlaces()
    return MemoryReader(places.root, places.membership, spec.memory_limit_bytes)


def make_guards(
    spec: AttemptSpec,
    folder: RunFolder,
    *,
    memory: MemoryReader,
    log_names: Iterable[str] = (),
) -> list[Guard]:
    """Return the guards this attempt's configuration asks for.

    ``log_names`` are the sorter's own log files. Raises ValueError for impossible thresholds.
    """
    settings = GuardSettings.from_config(spec.config)
    guards: list[Guard] = []
    if settings.host_ram_watchdog:
        guards.append(
            HostMemoryWatchdog(
                memory,
                warn_pct=settings.host_ram_warn_pct,
                abort_pct=settings.host_ram_abort_pct,
                interval_s=settings.host_ram_poll_interval_s,
            )
        )
    if settings.disk_watchdog:
        guards.append(
            DiskUsageWatchdog(
                folder.root,
                warn_free_gb=settings.disk_warn_free_gb,
                abort_free_gb=settings.disk_abort_free_gb,
                interval_s=settings.disk_poll_interval_s,
            )
        )
    if settings.sorter_inactivity_timeout:
        timeout_s = compute_inactivity_timeout_s(
            settings.sorter_inactivity_base_s,
            settings.sorter_inactivity_per_min_s,
            spec.duration_s / 60.0,
            settings.sorter_inactivity_max_s,
        )
        guards.append(
            LogInactivityWatchdog(
                (folder.child_log,),
                timeout_s=timeout_s,
                folder=folder.sorter,
                log_names=log_names,
            )
        )
    return guards
