"""Checks of the machine: disk and memory. They warn; what really runs out is a guard's to stop."""

from __future__ import annotations

import re
from collections.abc import Callable

from spikefleet.core.config.execution import ExecutionConfig
from spikefleet.core.failures.errors import EnvironmentSortFailure
from spikefleet.core.findings.finding import Finding, fail, warn
from spikefleet.preflight.registry import Facts, check

_GIB = 1 << 30
TESTED_SPIKEINTERFACE = ((0, 105, 0), (0, 106, 0))


@check("low_disk_inter")
def check_scratch_space(facts: Facts) -> Finding | None:
    """Little space where sorters keep their intermediate files."""
    return _low(
        facts.host.free_scratch_bytes,
        _limit(facts, "preflight_min_free_inter_gb"),
        "low_disk_inter",
        "free for intermediate files",
    )


@check("low_disk_results")
def check_results_space(facts: Facts) -> Finding | None:
    """Little space where results are kept."""
    return _low(
        facts.host.free_results_bytes,
        _limit(facts, "preflight_min_free_results_gb"),
        "low_disk_results",
        "free for results",
    )


@check("intermediate_readonly")
def check_scratch_writable(facts: Facts) -> Finding | None:
    """Nothing can be written where sorters keep their intermediate files."""
    if facts.host.scratch_writable is not False:
        return None
    return fail(
        "intermediate_readonly",
        EnvironmentSortFailure(
            "The scratch folder cannot be written. Mount it with write access.",
            reason="intermediate_readonly",
        ),
    )


@check("results_readonly")
def check_results_writable(facts: Facts) -> Finding | None:
    """Nothing can be written where results are kept."""
    if facts.host.results_writable is not False:
        return None
    return fail(
        "results_readonly",
        EnvironmentSortFailure(
            "The folder for results cannot be written. Mount it with write access.",
            reason="results_readonly",
        ),
    )


def _disk_check(code: str) -> Callable[[Facts], Finding | None]:
    def check_projection(facts: Facts) -> Finding | None:
        own_code = "rt_sort_disk_projection" if facts.backend.name == "rt_sort" else ""
        free_bytes, projected = facts.host.free_scratch_bytes, facts.projection
        if (own_code or "disk_projection") != code or projected is None or free_bytes is None:
            return None
        if free_bytes >= projected.scratch_bytes:
            return None
        return warn(
            code,
            f"The sort will write about {projected.scratch_bytes / _GIB:.1f} GiB; "
            f"{free_bytes / _GIB:.1f} GiB are free.",
        )

    return check_projection


for _code in ("disk_projection", "rt_sort_disk_projection"):
    check(_code)(_disk_check(_code))


@check("ram_projection")
def check_memory_projection(facts: Facts) -> Finding | None:
    """The sort will need more memory than there is."""
    available, projected = facts.host.available_memory_bytes, facts.projection
    if available is None or projected is None or available >= projected.memory_bytes:
        return None
    return warn(
        "ram_projection",
        f"The sort will take about {projected.memory_bytes / _GIB:.1f} GiB of memory; "
        f"{available / _GIB:.1f} GiB are available.",
    )


@check("spikeinterface_version_outside_tested_range")
def check_spikeinterface(facts: Facts) -> Finding | None:
    """SpikeInterface changes its interface between releases."""
    known = release(facts.host.spikeinterface_version)
    low, high = TESTED_SPIKEINTERFACE
    if known is None or low <= known < high:
        return None
    return warn(
        "spikeinterface_version_outside_tested_range",
        f"SpikeInterface {facts.host.spikeinterface_version} is installed; tested were "
        f"{'.'.join(map(str, low))} up to {'.'.join(map(str, high))}.",
    )


def release(version: str) -> tuple[int, int, int] | None:
    """Return the release part of a version, padded to three; None when it has none."""
    parts = [re.match(r"\d+", part) for part in version.split(".")[:3]]
    digits = [int(part[0]) for part in parts if part is not None]
    if not digits or parts[0] is None:
        return None
    return (*digits, 0, 0)[:3]  # type: ignore[return-value]


@check("ram_unknown")
def check_memory_known(facts: Facts) -> Finding | None:
    """Memory cannot be read here, so the guard on it is blind too."""
    if facts.host.available_memory_bytes is not None:
        return None
    return warn("ram_unknown", "The available memory cannot be read on this machine.")


@check("low_ram")
def check_memory(facts: Facts) -> Finding | None:
    """Little memory is available right now."""
    return _low(
        facts.host.available_memory_bytes,
        _limit(facts, "preflight_min_available_ram_gb"),
        "low_ram",
        "of memory available",
    )


def _limit(facts: Facts, name: str) -> float:
    """A limit of the execution group, in GiB."""
    value = facts.execution.get(name)
    return float(ExecutionConfig.model_fields[name].default if value is None else value)


def _low(free_bytes: int | None, limit_gib: float, code: str, what: str) -> Finding | None:
    if free_bytes is None or free_bytes >= limit_gib * _GIB:
        return None
    return warn(code, f"Only {free_bytes / _GIB:.1f} GiB {what}; {limit_gib:g} GiB are wanted.")
