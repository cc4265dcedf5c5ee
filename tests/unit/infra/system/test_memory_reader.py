"""Memory as the kernel will judge it: every layout of cgroups, and none."""

import os
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.cgroup_trees import UNLIMITED_V1, make_reader, write_v1, write_v2

from spikefleet.infra.system.memory_reader import MemoryReader


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "cgroup"
    folder.mkdir()
    return folder


def test_page_cache_is_not_memory_in_use(root: Path) -> None:
    write_v2(root, current=990_000, limit=1_000_000, inactive=900_000)
    sample = make_reader(root, "0::/\n").read()
    assert sample is not None
    assert (sample.source, sample.working_set_bytes) == ("cgroup2", 90_000)


def test_version_one_is_read_with_its_hierarchical_cache(root: Path) -> None:
    write_v1(root / "memory" / "pod", usage=500_000, limit=1_000_000, inactive=200_000)
    sample = make_reader(root, "4:memory:/pod\n0::/\n").read()
    assert sample is not None
    assert (sample.source, sample.working_set_bytes) == ("cgroup1", 300_000)
    assert sample.oom_kills == 2


def test_the_fullest_of_nested_limits_counts(root: Path) -> None:
    write_v2(root / "pod" / "container", current=400_000, limit=1_000_000)
    write_v2(root / "pod", current=900_000, limit=1_000_000)
    sample = make_reader(root, "0::/pod/container\n").read()
    assert sample is not None
    assert sample.working_set_bytes == 900_000


def test_a_hybrid_machine_is_read_where_its_memory_controller_is(root: Path) -> None:
    write_v1(root / "memory", usage=500_000, limit=1_000_000)
    (root / "unified").mkdir()
    sample = make_reader(root, "4:cpu,memory:/\n0::/\n").read()
    assert sample is not None
    assert sample.source == "cgroup1"


def test_a_path_of_the_host_falls_back_to_our_own_mount(root: Path) -> None:
    write_v1(root / "memory", usage=500_000, limit=1_000_000)
    sample = make_reader(root, "4:memory:/docker/abcdef\n").read()
    assert sample is not None
    assert sample.working_set_bytes == 500_000


@pytest.mark.parametrize("version", [1, 2])
def test_without_a_limit_the_node_counts(root: Path, version: int) -> None:
    if version == 1:
        write_v1(root / "memory", usage=500_000, limit=UNLIMITED_V1)
    else:
        write_v2(root, current=500_000, limit="max")
    sample = make_reader(root, "4:memory:/\n0::/\n").read()
    assert sample is not None
    assert sample.source == "node"
    assert sample.limit_bytes == psutil.virtual_memory().total


def test_without_a_cgroup_the_declared_limit_binds_the_process_tree(root: Path) -> None:
    sample = make_reader(root, "0::/\n", declared_limit_bytes=1 << 40).read()
    assert sample is not None
    assert (sample.source, sample.limit_bytes) == ("process_tree", float(1 << 40))
    assert sample.working_set_bytes > 1 << 20


def test_a_declared_limit_tighter_than_the_cgroups_binds_the_process_tree(root: Path) -> None:
    write_v2(root, current=1 << 20, limit=8 << 30)
    tight = make_reader(root, "0::/\n", declared_limit_bytes=1 << 30).read()
    loose = make_reader(root, "0::/\n", declared_limit_bytes=9 << 30).read()
    assert tight is not None
    assert loose is not None
    assert (tight.source, loose.source) == ("process_tree", "cgroup2")


def test_what_the_kernel_can_drop_is_not_held(root: Path) -> None:
    write_v2(root, current=990_000, limit=1_000_000, inactive=300_000, active=400_000, slab=90_000)
    sample = make_reader(root, "0::/\n").read()
    assert sample is not None
    assert (sample.working_set_bytes, sample.held_bytes) == (690_000, 200_000)
    write_v1(root / "memory", usage=990_000, limit=1_000_000, inactive=300_000, active=400_000)
    sample = make_reader(root, "4:memory:/\n0::/\n").read()
    assert sample is not None
    assert (sample.source, sample.held_bytes) == ("cgroup1", 290_000)


def test_hits_of_the_limit_are_counted_by_both_versions(root: Path) -> None:
    write_v2(root, current=1, limit=1_000_000, limit_hits=12)
    sample = make_reader(root, "0::/\n").read()
    assert sample is not None
    assert sample.limit_hits == 12
    write_v1(root / "memory", usage=1, limit=1_000_000, failcnt=34)
    sample = make_reader(root, "4:memory:/\n0::/\n").read()
    assert sample is not None
    assert sample.limit_hits == 34


def test_a_nested_version_one_tree_is_limited_by_its_fullest_level(root: Path) -> None:
    pod = root / "memory" / "kubepods" / "pod1"
    write_v1(pod / "sorter", usage=300_000, limit=UNLIMITED_V1)
    write_v1(pod, usage=800_000, limit=1_000_000)
    write_v1(root / "memory", usage=900_000, limit=UNLIMITED_V1)
    sample = make_reader(root, "4:cpuset,memory:/kubepods/pod1/sorter\n").read()
    assert sample is not None
    assert (sample.working_set_bytes, sample.limit_bytes) == (800_000, 1_000_000)


def test_a_hybrid_machine_with_version_two_in_unified_is_read_there(root: Path) -> None:
    write_v2(root / "unified" / "slice", current=500_000, limit=1_000_000)
    sample = make_reader(root, "1:cpu:/slice\n0::/slice\n").read()
    assert sample is not None
    assert (sample.source, sample.working_set_bytes) == ("cgroup2", 500_000)


@pytest.mark.parametrize("text", ["", "garbage\n", "full avg10=x\n", "some avg10=9.0\n"])
def test_a_pressure_file_that_says_nothing_is_unknown(root: Path, text: str) -> None:
    write_v2(root, current=1, limit=1_000_000)
    (root / "memory.pressure").write_text(text)
    sample = make_reader(root, "0::/\n").read()
    assert sample is not None
    assert sample.stalled_ratio is None


def test_a_cgroup_is_ours_alone_while_only_our_family_is_in_it(root: Path) -> None:
    write_v2(root, current=1, limit=1_000_000)
    found = make_reader(root, "0::/\n")
    assert not found.is_ours_alone([]), "who is in it is not known"
    (root / "cgroup.procs").write_text(f"{os.getppid()}\n{os.getpid()}\n7\n")
    assert found.is_ours_alone([7])
    assert not found.is_ours_alone([8])
    (root / "cgroup.procs").write_text("")
    assert not found.is_ours_alone([])


_FILES = (
    "memory.current",
    "memory.max",
    "memory.stat",
    "memory.events",
    "memory.pressure",
    "memory.usage_in_bytes",
    "memory.limit_in_bytes",
    "memory.failcnt",
    "memory.oom_control",
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.binary(max_size=60), min_size=len(_FILES), max_size=len(_FILES)),
    st.binary(max_size=60),
)
def test_no_bytes_in_the_kernels_files_raise(
    tmp_path: Path, contents: list[bytes], membership: bytes
) -> None:
    for name, content in zip(_FILES, contents, strict=True):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "membership").write_bytes(membership)
    sample = MemoryReader(tmp_path, tmp_path / "membership").read()
    assert sample is not None
    assert sample.limit_bytes > 0
