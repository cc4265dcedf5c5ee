"""Checks of the machine: disk and memory. They warn; what really runs out is a guard's to stop."""

from __future__ import annotations

import re

from spikefleet.core.config.execution import limit_bytes
from spikefleet.core.failures.errors import EnvironmentSortFailure
from spikefleet.core.findings.finding import Finding, fail, warn
from spikefleet.core.findings.machine import MACHINE_CHECKS, MachineFacts, find_low
from spikefleet.preflight.registry import CHECKS, Facts, check

TESTED_SPIKEINTERFACE = ((0, 105, 0), (0, 106, 0))


def machine_facts(facts: Facts) -> MachineFacts:
    """What the service's machine has, for the checks that every machine has to pass."""
    host, projected = facts.host, facts.projection
    return MachineFacts(
        sorter=facts.backend.name,
        sorts_here=host.sorts_here,
        scratch=host.scratch,
        scratch_writable=host.scratch_writable,
        free_scratch_bytes=host.free_scratch_bytes,
        least_scratch_bytes=limit_bytes(facts.config.execution, "preflight_min_free_inter_gb"),
        needed_scratch_bytes=projected.scratch_bytes if projected else 0,
        available_memory_bytes=host.available_memory_bytes,
        least_memory_bytes=limit_bytes(facts.config.execution, "preflight_min_available_ram_gb"),
        needed_memory_bytes=projected.memory_bytes if projected else 0,
    )


CHECKS.adopt(MACHINE_CHECKS, machine_facts)


@check("low_disk_results")
def check_results_space(facts: Facts) -> Finding | None:
    """Little space where results are kept."""
    least = limit_bytes(facts.config.execution, "preflight_min_free_results_gb")
    return find_low(
        facts.host.free_results_bytes, least, "low_disk_results", "are free for results"
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
