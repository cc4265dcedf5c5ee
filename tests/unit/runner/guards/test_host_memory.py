"""When memory is too full, and when it only looks so."""

from pathlib import Path

import pytest
from tests.support.cgroup_trees import make_reader, write_v2

from spikefleet.core.failures.codes import FailureCode
from spikefleet.runner.guards.host_memory import HostMemoryWatchdog


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "cgroup"
    folder.mkdir()
    return folder


def test_one_bad_sample_does_not_trip_and_two_of_three_do(root: Path) -> None:
    watchdog = HostMemoryWatchdog(make_reader(root, "0::/\n"))
    trips = []
    write_v2(root, current=0, limit=1_000_000)
    for used in (950_000, 100_000, 100_000, 950_000, 100_000, 950_000):
        write_v2(root, current=used, limit=1_000_000)
        trips.append(watchdog.read(0.0).trip)
    assert trips[:5] == [None] * 5
    assert trips[5] is not None
    assert trips[5].code is FailureCode.HOST_MEMORY_WATCHDOG
    assert trips[5].evidence["percent_at_trip"] == 95.0


def test_a_stalled_machine_trips_at_the_lower_mark(root: Path) -> None:
    write_v2(root, current=880_000, limit=1_000_000)
    (root / "memory.pressure").write_text("some avg10=40.00\nfull avg10=35.00 avg60=1.00\n")
    watchdog = HostMemoryWatchdog(make_reader(root, "0::/\n"))
    assert watchdog.read(0.0).trip is None
    assert watchdog.read(2.0).trip is not None


def test_a_kernel_kill_trips_at_once_as_out_of_memory(root: Path) -> None:
    write_v2(root, current=100, limit=1_000_000, oom_kills=3)
    watchdog = HostMemoryWatchdog(make_reader(root, "0::/\n"))
    assert watchdog.read(0.0).trip is None
    write_v2(root, current=100, limit=1_000_000, oom_kills=4)
    trip = watchdog.read(2.0).trip
    assert trip is not None
    assert trip.code is FailureCode.HOST_OUT_OF_MEMORY
    assert trip.evidence["oom_kills"] == 1


def test_a_kernel_kill_that_took_none_of_ours_was_a_neighbours(root: Path) -> None:
    ours = {7, 8}
    write_v2(root, current=100, limit=1_000_000, oom_kills=3)
    watchdog = HostMemoryWatchdog(make_reader(root, "0::/\n"), own_pids=lambda: ours)
    watchdog.read(0.0)
    write_v2(root, current=100, limit=1_000_000, oom_kills=4)
    reading = watchdog.read(2.0)
    assert reading.trip is None
    assert "neighbour" in reading.warning
    ours.discard(8)
    assert watchdog.read(4.0).trip is None, "that worker ended by itself"
    ours.discard(7)
    write_v2(root, current=100, limit=1_000_000, oom_kills=5)
    trip = watchdog.read(6.0).trip
    assert trip is not None
    assert (trip.code, trip.evidence["oom_kills"]) == (FailureCode.HOST_OUT_OF_MEMORY, 1)


def test_warnings_name_how_full_it_is(root: Path) -> None:
    write_v2(root, current=870_000, limit=1_000_000)
    reading = HostMemoryWatchdog(make_reader(root, "0::/\n")).read(0.0)
    assert "87%" in reading.warning
    assert reading.trip is None


@pytest.mark.parametrize(("warn", "abort"), [(0, 90), (90, 90), (95, 90), (85, 101)])
def test_thresholds_that_make_no_sense_are_refused(root: Path, warn: float, abort: float) -> None:
    with pytest.raises(ValueError, match="warn"):
        HostMemoryWatchdog(make_reader(root, "0::/\n"), warn_pct=warn, abort_pct=abort)


def test_page_cache_at_the_limit_never_trips(root: Path) -> None:
    write_v2(root, current=999_000, limit=1_000_000, inactive=50_000, active=900_000)
    watchdog = HostMemoryWatchdog(make_reader(root, "0::/\n"))
    readings = [watchdog.read(2.0 * number) for number in range(20)]
    assert [reading.trip for reading in readings] == [None] * 20
    assert {reading.warning for reading in readings} == {""}
    assert readings[-1].values["used_ratio"] == 0.949


def test_growth_that_reaches_the_limit_before_the_next_looks_counts_early(root: Path) -> None:
    def trips(*used_bytes: int) -> list[bool]:
        watchdog = HostMemoryWatchdog(make_reader(root, "0::/\n"), interval_s=2.0)
        found = []
        for number, used in enumerate(used_bytes):
            write_v2(root, current=used, limit=1_000_000)
            found.append(watchdog.read(0.25 * number).trip is not None)
        return found

    assert trips(500_000, 700_000, 900_000, 960_000) == [False, False, False, True]
    assert trips(500_000, 700_000, 900_000, 901_000, 901_000) == [False] * 5
    assert trips(860_000, 880_000, 900_000, 960_000) == [False] * 4


def test_it_looks_more_often_when_memory_grows_short(root: Path) -> None:
    watchdog = HostMemoryWatchdog(make_reader(root, "0::/\n"), interval_s=2.0)
    paces = []
    for now_s, used in ((0, 100_000), (2, 110_000), (4, 500_000), (6, 600_000), (8, 750_000)):
        write_v2(root, current=used, limit=1_000_000)
        watchdog.read(now_s)
        paces.append(round(watchdog.interval_s, 2))
    assert paces == [2.0, 2.0, 0.72, 2.0, 0.25]


def test_it_looks_as_often_as_it_can_just_before_the_mark(root: Path) -> None:
    watchdog = HostMemoryWatchdog(make_reader(root, "0::/\n"), interval_s=2.0)
    for now_s, used in ((0.0, 500_000), (1.0, 900_000)):
        write_v2(root, current=used, limit=1_000_000)
        watchdog.read(now_s)
    assert watchdog.interval_s == 0.1


def test_a_warning_stays_until_memory_is_clearly_below_the_mark(root: Path) -> None:
    watchdog = HostMemoryWatchdog(make_reader(root, "0::/\n"))
    heard = []
    for used in (849_000, 851_000, 840_000, 801_000, 799_000, 840_000):
        write_v2(root, current=used, limit=1_000_000)
        heard.append(bool(watchdog.read(0.0).warning))
    assert heard == [False, True, True, True, False, False]


def test_an_unreadable_machine_is_advisory(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    def refuse() -> None:
        raise OSError("no /proc here")

    monkeypatch.setattr("psutil.virtual_memory", refuse)
    reading = HostMemoryWatchdog(make_reader(root, "0::/\n")).read(0.0)
    assert (dict(reading.values), reading.trip) == ({}, None)
    assert reading.advisory
