"""Memory as the kernel will judge it: every layout of cgroups, and none."""

from pathlib import Path

import psutil
import pytest

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.guards.host_memory import HostMemoryWatchdog
from spikefleet.core.guards.memory_reader import MemoryReader

UNLIMITED_V1 = 9223372036854771712


def write_v2(
    folder: Path, *, current: int, limit: int | str, inactive: int = 0, oom_kills: int = 0
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.current").write_text(f"{current}\n")
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {inactive}\n")
    (folder / "memory.events").write_text(f"oom 0\noom_kill {oom_kills}\n")


def write_v1(folder: Path, *, usage: int, limit: int, inactive: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.usage_in_bytes").write_text(f"{usage}\n")
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.stat").write_text(f"inactive_file 1\ntotal_inactive_file {inactive}\n")
    (folder / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "cgroup"
    folder.mkdir()
    return folder


def reader(root: Path, membership: str, **more: int) -> MemoryReader:
    path = root.parent / "membership"
    path.write_text(membership)
    return MemoryReader(root, path, **more)


def test_page_cache_is_not_memory_in_use(root: Path) -> None:
    write_v2(root, current=990_000, limit=1_000_000, inactive=900_000)
    sample = reader(root, "0::/\n").read()
    assert sample is not None
    assert (sample.source, sample.working_set_bytes) == ("cgroup2", 90_000)


def test_version_one_is_read_with_its_hierarchical_cache(root: Path) -> None:
    write_v1(root / "memory" / "pod", usage=500_000, limit=1_000_000, inactive=200_000)
    sample = reader(root, "4:memory:/pod\n0::/\n").read()
    assert sample is not None
    assert (sample.source, sample.working_set_bytes) == ("cgroup1", 300_000)
    assert sample.oom_kills == 2


def test_the_fullest_of_nested_limits_counts(root: Path) -> None:
    write_v2(root / "pod" / "container", current=400_000, limit=1_000_000)
    write_v2(root / "pod", current=900_000, limit=1_000_000)
    sample = reader(root, "0::/pod/container\n").read()
    assert sample is not None
    assert sample.working_set_bytes == 900_000


def test_a_hybrid_machine_is_read_where_its_memory_controller_is(root: Path) -> None:
    write_v1(root / "memory", usage=500_000, limit=1_000_000)
    (root / "unified").mkdir()
    sample = reader(root, "4:cpu,memory:/\n0::/\n").read()
    assert sample is not None
    assert sample.source == "cgroup1"


def test_a_path_of_the_host_falls_back_to_our_own_mount(root: Path) -> None:
    write_v1(root / "memory", usage=500_000, limit=1_000_000)
    sample = reader(root, "4:memory:/docker/abcdef\n").read()
    assert sample is not None
    assert sample.working_set_bytes == 500_000


@pytest.mark.parametrize("version", [1, 2])
def test_without_a_limit_the_node_counts(root: Path, version: int) -> None:
    if version == 1:
        write_v1(root / "memory", usage=500_000, limit=UNLIMITED_V1)
    else:
        write_v2(root, current=500_000, limit="max")
    sample = reader(root, "4:memory:/\n0::/\n").read()
    assert sample is not None
    assert sample.source == "node"
    assert sample.limit_bytes == psutil.virtual_memory().total


def test_without_a_cgroup_the_declared_limit_binds_the_process_tree(root: Path) -> None:
    sample = reader(root, "0::/\n", declared_limit_bytes=1 << 40).read()
    assert sample is not None
    assert (sample.source, sample.limit_bytes) == ("process_tree", float(1 << 40))
    assert sample.working_set_bytes > 1 << 20


def test_a_declared_limit_tighter_than_the_cgroups_binds_the_process_tree(root: Path) -> None:
    write_v2(root, current=1 << 20, limit=8 << 30)
    tight = reader(root, "0::/\n", declared_limit_bytes=1 << 30).read()
    loose = reader(root, "0::/\n", declared_limit_bytes=9 << 30).read()
    assert tight is not None
    assert loose is not None
    assert (tight.source, loose.source) == ("process_tree", "cgroup2")


def test_one_bad_sample_does_not_trip_and_two_of_three_do(root: Path) -> None:
    watchdog = HostMemoryWatchdog(reader(root, "0::/\n"))
    trips = []
    write_v2(root, current=0, limit=1_000_000)
    for used in (950_000, 100_000, 100_000, 950_000, 100_000, 950_000):
        write_v2(root, current=used, limit=1_000_000)
        trips.append(watchdog.read(0.0).trip)
    assert trips[:5] == [None] * 5
    assert trips[5] is not None
    assert trips[5].code is FailureCode.HOST_MEMORY_WATCHDOG
    assert trips[5].evidence["used_pct"] == 95.0


def test_a_stalled_machine_trips_at_the_lower_mark(root: Path) -> None:
    write_v2(root, current=880_000, limit=1_000_000)
    (root / "memory.pressure").write_text("some avg10=40.00\nfull avg10=35.00 avg60=1.00\n")
    watchdog = HostMemoryWatchdog(reader(root, "0::/\n"))
    assert watchdog.read(0.0).trip is None
    assert watchdog.read(2.0).trip is not None


def test_a_kernel_kill_trips_at_once_as_out_of_memory(root: Path) -> None:
    write_v2(root, current=100, limit=1_000_000, oom_kills=3)
    watchdog = HostMemoryWatchdog(reader(root, "0::/\n"))
    assert watchdog.read(0.0).trip is None
    write_v2(root, current=100, limit=1_000_000, oom_kills=4)
    trip = watchdog.read(2.0).trip
    assert trip is not None
    assert trip.code is FailureCode.HOST_OUT_OF_MEMORY
    assert trip.evidence["oom_kills"] == 1


def test_warnings_name_how_full_it_is(root: Path) -> None:
    write_v2(root, current=870_000, limit=1_000_000)
    reading = HostMemoryWatchdog(reader(root, "0::/\n")).read(0.0)
    assert "87%" in reading.warning
    assert reading.trip is None


@pytest.mark.parametrize(("warn", "abort"), [(0, 90), (90, 90), (95, 90), (85, 101)])
def test_thresholds_that_make_no_sense_are_refused(root: Path, warn: float, abort: float) -> None:
    with pytest.raises(ValueError, match="warn"):
        HostMemoryWatchdog(reader(root, "0::/\n"), warn_pct=warn, abort_pct=abort)
