"""Findings about the service's machine: both sides of every threshold."""

from dataclasses import replace

import pytest
from tests.unit.preflight.test_checks import BACKEND, GIB, HEALTHY, codes

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.findings.checks import decide
from spikefleet.core.rooms.preflight import ResourceEstimate
from spikefleet.preflight.checks_host import release
from spikefleet.preflight.registry import run_preflight


def on(**changes):
    return replace(HEALTHY, host=replace(HEALTHY.host, **changes))


@pytest.mark.parametrize(
    ("name", "code"),
    [("scratch_writable", "intermediate_readonly"), ("results_writable", "results_readonly")],
)
def test_a_folder_that_cannot_be_written_holds_the_lane(name, code):
    facts = on(**{name: False})
    assert codes(facts) == [(code, "fail")]
    assert decide(run_preflight(facts)).code is FailureCode.ENVIRONMENT_OTHER
    assert codes(on(**{name: True})) == []
    assert codes(on(**{name: None})) == []


@pytest.mark.parametrize(("needed_gib", "found"), [(99, []), (101, ["disk_projection"])])
def test_scratch_is_held_against_the_projection(needed_gib, found):
    facts = replace(HEALTHY, projection=ResourceEstimate(GIB, needed_gib * GIB, 0, 60.0))
    assert [code for code, _ in codes(facts)] == found


def test_rt_sort_has_its_own_code_for_scratch():
    facts = replace(
        HEALTHY,
        backend=replace(BACKEND, name="rt_sort"),
        projection=ResourceEstimate(GIB, 500 * GIB, 0, 60.0),
    )
    assert codes(facts) == [("rt_sort_disk_projection", "warn")]


@pytest.mark.parametrize(("needed_gib", "found"), [(31, []), (33, ["ram_projection"])])
def test_memory_is_held_against_the_projection(needed_gib, found):
    facts = replace(HEALTHY, projection=ResourceEstimate(needed_gib * GIB, GIB, 0, 60.0))
    assert [code for code, _ in codes(facts)] == found


def test_a_room_says_nothing_of_its_own_memory_where_sorts_run_elsewhere():
    facts = on(available_memory_bytes=3 * GIB)
    assert codes(facts) == [("low_ram", "warn")]
    assert codes(on(available_memory_bytes=3 * GIB, sorts_here=False)) == []
    projected = ResourceEstimate(33 * GIB, 501 * GIB, 0, 60.0)
    assert codes(replace(on(sorts_here=False), projection=projected)) == []


@pytest.mark.parametrize(
    ("version", "warns"),
    [("0.105.3", False), ("0.105.0rc1", False), ("0.106.0", True), ("0.104.9", True), ("", False)],
)
def test_a_version_outside_the_tested_range_warns(version, warns):
    found = codes(on(spikeinterface_version=version))
    assert found == ([("spikeinterface_version_outside_tested_range", "warn")] if warns else [])


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.105.3", (0, 105, 3)),
        ("1", (1, 0, 0)),
        ("4.1.7.post1", (4, 1, 7)),
        ("2.0.0rc1", (2, 0, 0)),
        ("unknown", None),
        ("", None),
    ],
)
def test_the_release_part_of_a_version_is_read(version, expected):
    assert release(version) == expected
