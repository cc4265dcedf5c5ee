"""Checks of the machine: disk and memory. They warn; what really runs out is a guard's to stop."""

from __future__ import annotations

from spikefleet.core.findings.finding import PreflightFinding, warn
from spikefleet.preflight.registry import Facts, check

_GIB = 1 << 30


@check("low_disk_inter")
def check_scratch_space(facts: Facts) -> PreflightFinding | None:
    """Little space where sorters keep their intermediate files."""
    return _low(
        facts.host.free_scratch_bytes,
        _limit(facts, "preflight_min_free_inter_gb", 20.0),
        "low_disk_inter",
        "free for intermediate files",
    )


@check("low_disk_results")
def check_results_space(facts: Facts) -> PreflightFinding | None:
    """Little space where results are kept."""
    return _low(
        facts.host.free_results_bytes,
        _limit(facts, "preflight_min_free_results_gb", 2.0),
        "low_disk_results",
        "free for results",
    )


@check("ram_unknown")
def check_memory_known(facts: Facts) -> PreflightFinding | None:
    """Memory cannot be read here, so the guard on it is blind too."""
    if facts.host.available_memory_bytes is not None:
        return None
    return warn("ram_unknown", "The available memory cannot be read on this machine.")


@check("low_ram")
def check_memory(facts: Facts) -> PreflightFinding | None:
    """Little memory is available right now."""
    return _low(
        facts.host.available_memory_bytes,
        _limit(facts, "preflight_min_available_ram_gb", 4.0),
        "low_ram",
        "of memory available",
    )


def _limit(facts: Facts, name: str, default_gib: float) -> float:
    value = facts.execution.get(name)
    return default_gib if value is None else float(value)


def _low(free_bytes: int | None, limit_gib: float, code: str, what: str) -> PreflightFinding | None:
    if free_bytes is None or free_bytes >= limit_gib * _GIB:
        return None
    return warn(code, f"Only {free_bytes / _GIB:.1f} GiB {what}; {limit_gib:g} GiB are wanted.")
