"""Cgroup trees as the kernel shows them, written by tests: v1, v2, hybrid, unlimited, nested."""

from pathlib import Path

from spikefleet.infra.system.memory_reader import MemoryReader

UNLIMITED_V1 = 9223372036854771712


def write_v2(
    folder: Path,
    *,
    current: int,
    limit: int | str,
    inactive: int = 0,
    active: int = 0,
    slab: int = 0,
    oom_kills: int = 0,
    limit_hits: int = 0,
) -> None:
    """One folder of cgroup v2, in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.current").write_text(f"{current}\n")
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.stat").write_text(
        f"anon 5\ninactive_file {inactive}\nactive_file {active}\nslab_reclaimable {slab}\n"
    )
    (folder / "memory.events").write_text(
        f"low 0\nhigh 0\nmax {limit_hits}\noom 0\noom_kill {oom_kills}\noom_group_kill 0\n"
    )


def write_v1(
    folder: Path, *, usage: int, limit: int, inactive: int = 0, active: int = 0, failcnt: int = 0
) -> None:
    """One folder of cgroup v1's memory controller, in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.usage_in_bytes").write_text(f"{usage}\n")
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.failcnt").write_text(f"{failcnt}\n")
    (folder / "memory.stat").write_text(
        "inactive_file 1\nactive_file 1\n"
        f"total_inactive_file {inactive}\ntotal_active_file {active}\n"
    )
    (folder / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")


def make_reader(root: Path, membership: str, **more: int) -> MemoryReader:
    """A reader of the tree below ``root`` for a process with this ``/proc/self/cgroup``."""
    path = root.parent / "membership"
    path.write_text(membership)
    return MemoryReader(root, path, **more)
