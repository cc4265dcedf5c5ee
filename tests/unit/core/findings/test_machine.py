"""Checks that hold for every machine: both sides of every limit."""

from dataclasses import replace

import pytest

from spikefleet.core.findings.checks import Checks
from spikefleet.core.findings.machine import MACHINE_CHECKS, MachineFacts

ENOUGH = MachineFacts(
    sorter="lupin",
    scratch="/scratch",
    scratch_writable=True,
    free_scratch_bytes=100,
    least_scratch_bytes=100,
    needed_scratch_bytes=100,
    available_memory_bytes=50,
    least_memory_bytes=50,
    needed_memory_bytes=50,
)


@pytest.fixture
def checks() -> Checks[MachineFacts]:
    checks: Checks[MachineFacts] = Checks()
    checks.adopt(MACHINE_CHECKS, lambda facts: facts)
    return checks


def test_a_machine_that_just_has_enough_is_found_well(checks: Checks[MachineFacts]) -> None:
    assert checks.run(ENOUGH) == ()


@pytest.mark.parametrize(
    ("changes", "code", "level"),
    [
        ({"scratch_writable": False}, "intermediate_readonly", "fail"),
        ({"least_scratch_bytes": 101}, "low_disk_inter", "warn"),
        ({"needed_scratch_bytes": 101}, "disk_projection", "warn"),
        ({"needed_scratch_bytes": 101, "sorter": "rt_sort"}, "rt_sort_disk_projection", "warn"),
        ({"available_memory_bytes": None}, "ram_unknown", "warn"),
        ({"least_memory_bytes": 51}, "low_ram", "warn"),
        ({"needed_memory_bytes": 51}, "ram_projection", "warn"),
    ],
)
def test_one_step_beyond_each_limit_is_found(
    checks: Checks[MachineFacts], changes: dict[str, object], code: str, level: str
) -> None:
    (found,) = checks.run(replace(ENOUGH, **changes))
    assert (found.code, found.level) == (code, level)


def test_a_machine_on_which_nothing_sorts_is_not_judged(checks: Checks[MachineFacts]) -> None:
    elsewhere = replace(
        ENOUGH,
        available_memory_bytes=None,
        needed_scratch_bytes=101,
        scratch_writable=False,
        sorts_here=False,
    )
    assert checks.run(elsewhere) == ()


def test_what_cannot_be_read_is_not_judged(checks: Checks[MachineFacts]) -> None:
    unread = replace(ENOUGH, scratch_writable=None, free_scratch_bytes=None)
    assert checks.run(unread) == ()
