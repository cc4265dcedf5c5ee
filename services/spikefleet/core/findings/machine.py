"""Checks that are the same wherever a machine is asked: the service's own, and the one that sorts.

They warn; what really runs out is a guard's to stop. Only a scratch folder that cannot be written
fails: every sort would break on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spikefleet.core.failures.errors import EnvironmentSortFailure
from spikefleet.core.findings.finding import Finding, fail, warn
from spikefleet.core.sorters.catalogue import RT_SORT
from spikefleet.core.text import format_gib


@dataclass(frozen=True)
class MachineFacts:
    """What both machines are asked for. None could not be read; 0 needed was not projected."""

    sorter: str  #: its name
    scratch: str = ""  #: the scratch folder
    scratch_writable: bool | None = None  #: whether it takes files
    free_scratch_bytes: int | None = None  #: what is free there
    least_scratch_bytes: float = 0.0  #: what should be, by the configuration
    needed_scratch_bytes: int = 0  #: what the sort is projected to write
    available_memory_bytes: int | None = None  #: what is left of the fullest limit
    least_memory_bytes: float = 0.0  #: what should be, by the configuration
    needed_memory_bytes: int = 0  #: what the sort is projected to take
    sorts_here: bool = True  #: False: it uses another machine, and nothing of this one is judged


def find_low(free_bytes: float | None, least_bytes: float, code: str, what: str) -> Finding | None:
    """Warn where less is ``what`` than the configured least."""
    if free_bytes is None or free_bytes >= least_bytes:
        return None
    return warn(
        code, f"Only {format_gib(free_bytes)} {what}; {format_gib(least_bytes)} are wanted."
    )


def _readonly(facts: MachineFacts) -> Finding | None:
    if facts.scratch_writable is not False:
        return None
    error = EnvironmentSortFailure(
        f"The scratch folder {facts.scratch} cannot be written. Mount it with write access.",
        reason="intermediate_readonly",
        path=facts.scratch,
    )
    return fail("intermediate_readonly", error)


def _low_scratch(facts: MachineFacts) -> Finding | None:
    return find_low(
        facts.free_scratch_bytes,
        facts.least_scratch_bytes,
        "low_disk_inter",
        "are free for intermediate files",
    )


def _scratch_projection(code: str, *, of_rt_sort: bool) -> Callable[[MachineFacts], Finding | None]:
    def look(facts: MachineFacts) -> Finding | None:
        free, need = facts.free_scratch_bytes, facts.needed_scratch_bytes
        if (facts.sorter == RT_SORT) is not of_rt_sort or free is None or need <= free:
            return None
        return warn(
            code,
            f"The sort is projected to write {format_gib(need)}; {format_gib(free)} are free.",
        )

    return look


def _memory_unknown(facts: MachineFacts) -> Finding | None:
    if facts.available_memory_bytes is not None:
        return None
    return warn("ram_unknown", "The available memory cannot be read on this machine.")


def _low_memory(facts: MachineFacts) -> Finding | None:
    available, least = facts.available_memory_bytes, facts.least_memory_bytes
    return find_low(available, least, "low_ram", "of memory are available")


def _memory_projection(facts: MachineFacts) -> Finding | None:
    available, need = facts.available_memory_bytes, facts.needed_memory_bytes
    if available is None or need <= available:
        return None
    return warn(
        "ram_projection",
        f"The sort is projected to need {format_gib(need)} of memory; "
        f"{format_gib(available)} are available.",
    )


_Check = Callable[[MachineFacts], Finding | None]


def _where_it_sorts(check: _Check) -> _Check:
    return lambda facts: check(facts) if facts.sorts_here else None


_CHECKS: Mapping[str, _Check] = {
    "intermediate_readonly": _readonly,
    "low_disk_inter": _low_scratch,
    "disk_projection": _scratch_projection("disk_projection", of_rt_sort=False),
    "rt_sort_disk_projection": _scratch_projection("rt_sort_disk_projection", of_rt_sort=True),
    "ram_unknown": _memory_unknown,
    "low_ram": _low_memory,
    "ram_projection": _memory_projection,
}
MACHINE_CHECKS: Mapping[str, _Check] = {
    code: _where_it_sorts(check) for code, check in _CHECKS.items()
}
