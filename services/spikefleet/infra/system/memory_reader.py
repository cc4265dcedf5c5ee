"""How much memory an attempt really has left, as the kernel will judge it.

The reader prefers the memory cgroup (v2, then v1) because a container's kernel kills by it. The
working set is what the kubelet counts: usage without inactive file pages. Of it the kernel can
still drop active file pages and its own caches; what is left is held. A declared limit tighter than
the cgroup's binds the attempt's own process tree; without any limit the whole node counts. Decides
nothing.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from spikefleet.core.guards.sources import MemorySample

CGROUP_ROOT = Path("/sys/fs/cgroup")
PROC_CGROUP = Path("/proc/self/cgroup")
NODE_PRESSURE = Path("/proc/pressure/memory")


@dataclass(frozen=True)
class MemoryReader:
    """Reads the memory that counts for this process.

    ``cgroup_root`` and ``proc_cgroup`` are where the kernel shows cgroups. ``declared_limit_bytes``
    (0 = none) binds the processes below ``tree_pid`` when no cgroup does.
    """

    cgroup_root: Path = CGROUP_ROOT
    proc_cgroup: Path = PROC_CGROUP
    declared_limit_bytes: int = 0
    tree_pid: int = 0

    def read(self) -> MemorySample | None:
        """Return the fullest limit's sample, or None when nothing can be read.

        The declared limit counts beside a cgroup's only while it is the smaller one.
        """
        try:
            node = psutil.virtual_memory()
        except (OSError, psutil.Error):
            return self._tightest(float("inf"))
        cgroup = self._tightest(float(node.total))
        is_declared_tighter = cgroup is None or self.declared_limit_bytes < cgroup.limit_bytes
        tree = self._tree() if is_declared_tighter else None
        found = [sample for sample in (cgroup, tree) if sample is not None]
        if found:
            return max(found, key=lambda sample: sample.held_ratio)
        used = float(node.total - node.available)
        stalled = _stalled_ratio(NODE_PRESSURE)
        return MemorySample("node", used, used, float(node.total), self.oom_kills(), stalled)

    def oom_kills(self) -> int | None:
        """Kernel kills counted by our own cgroup; None when it does not count."""
        for folder in self._folders():
            for name in ("memory.events", "memory.oom_control"):
                count = _table(folder / name).get("oom_kill")
                if count is not None:
                    return count
        return None

    def is_ours_alone(self, own_pids: Collection[int]) -> bool:
        """Is nobody in our cgroup but ``own_pids``, this process and those that started it?

        False also where the members of the cgroup cannot be told.
        """
        for folder in self._folders():
            try:
                members = {int(pid) for pid in (folder / "cgroup.procs").read_text().split()}
            except (OSError, ValueError):
                continue
            try:
                above = {process.pid for process in psutil.Process().parents()}
            except psutil.Error:
                return False
            return bool(members) and members <= {*own_pids, *above, os.getpid()}
        return False

    def _folders(self) -> Iterator[Path]:
        """Our cgroup's folder and its parents, innermost first, v1's controller before v2."""
        try:
            text = self.proc_cgroup.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            text = "0::/"
        roots: list[tuple[Path, str]] = []
        for line in text.splitlines():
            _, controllers, inside = [*line.split(":", 2), "", ""][:3]
            if "memory" in controllers.split(","):
                roots.insert(0, (self.cgroup_root / "memory", inside))
            elif not controllers:
                roots += [(self.cgroup_root, inside), (self.cgroup_root / "unified", inside)]
        for root, inside in roots:
            folder = root / inside.strip("/")
            while True:
                if folder.is_dir():
                    yield folder
                if folder == root:
                    break
                folder = folder.parent

    def _tightest(self, node_bytes: float) -> MemorySample | None:
        """The fullest of our limited cgroups; a limit beyond the node is none."""
        oom_kills = self.oom_kills()
        samples = [
            sample
            for folder in self._folders()
            if (sample := _read_folder(folder, oom_kills)) and sample.limit_bytes < node_bytes
        ]
        return max(samples, key=lambda sample: sample.held_ratio, default=None)

    def _tree(self) -> MemorySample | None:
        """The process tree against the declared limit."""
        if self.declared_limit_bytes <= 0:
            return None
        used = 0
        try:
            root = psutil.Process(self.tree_pid or os.getpid())
            for process in [root, *root.children(recursive=True)]:
                used += _own_bytes(process)
        except psutil.Error:
            return None
        limit = float(self.declared_limit_bytes)
        return MemorySample("process_tree", float(used), float(used), limit, self.oom_kills())


def _own_bytes(process: psutil.Process) -> int:
    """Resident memory of one process without mapped files, which the kernel can drop at will.

    0 when it ended meanwhile.
    """
    try:
        memory = process.memory_info()
    except psutil.Error:
        return 0
    return int(memory.rss - getattr(memory, "shared", 0))


def _read_folder(folder: Path, oom_kills: int | None) -> MemorySample | None:
    """Sample one cgroup folder of either version; None without usage or limit."""
    statistics = _table(folder / "memory.stat")
    current, limit = _number(folder / "memory.current"), _number(folder / "memory.max")
    source, prefix = "cgroup2", ""
    limit_hits = _table(folder / "memory.events").get("max")
    if current is None:
        source, prefix = "cgroup1", "total_"
        current = _number(folder / "memory.usage_in_bytes")
        limit = _number(folder / "memory.limit_in_bytes")
        limit_hits = _number(folder / "memory.failcnt")
    if current is None or not limit:
        return None
    inactive, active, slab = (
        statistics.get(prefix + name, statistics.get(name, 0))
        for name in ("inactive_file", "active_file", "slab_reclaimable")
    )
    return MemorySample(
        source,
        working_set_bytes=float(max(0, current - inactive)),
        held_bytes=float(max(0, current - inactive - active - slab)),
        limit_bytes=float(limit),
        oom_kills=oom_kills,
        stalled_ratio=_stalled_ratio(folder / "memory.pressure"),
        limit_hits=limit_hits,
    )


def _number(path: Path) -> int | None:
    """Read a one-number file; None for ``max`` and for anything unreadable."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdigit() else None


def _table(path: Path) -> dict[str, int]:
    """Read ``key value`` lines; empty when unreadable."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.split() for line in lines)
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _stalled_ratio(path: Path) -> float | None:
    """Read ``full avg10`` of a pressure file as a ratio."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for line in lines:
        words = line.split()
        if words[:1] == ["full"] and len(words) > 1 and words[1].startswith("avg10="):
            try:
                return float(words[1].removeprefix("avg10=")) / 100.0
            except ValueError:
                return None
    return None
