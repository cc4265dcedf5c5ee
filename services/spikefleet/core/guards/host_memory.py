"""How much memory an attempt really has left, and when that is too little.

The reader prefers the memory cgroup (v2, then v1) because a container's kernel kills by it; page
cache that can be dropped is no memory in use, so the working set leaves inactive file pages out.
A declared limit tighter than the cgroup's binds the attempt's own process tree; without any limit
the whole node counts. The watchdog decides; it never kills.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.guards.base import Reading

CGROUP_ROOT = Path("/sys/fs/cgroup")
PROC_CGROUP = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class MemorySample:
    """One look at memory, in bytes. ``oom_kills`` counts kernel kills so far; None = unknown.

    ``stalled_ratio`` is the share (0..1) of the last ten seconds in which every task waited for
    memory; None where the kernel does not tell.
    """

    source: str
    working_set_bytes: float
    limit_bytes: float
    oom_kills: int | None = None
    stalled_ratio: float | None = None

    @property
    def used_ratio(self) -> float:
        """Working set over limit."""
        return self.working_set_bytes / self.limit_bytes


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
            return float(words[1].removeprefix("avg10=")) / 100.0
    return None


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
            return max(found, key=lambda sample: sample.used_ratio)
        used = float(node.total - node.available)
        return MemorySample("node", used, float(node.total), self.oom_kills())

    def oom_kills(self) -> int | None:
        """Kernel kills counted by our own cgroup; None when it does not count."""
        for folder in self._folders():
            for name in ("memory.events", "memory.oom_control"):
                count = _table(folder / name).get("oom_kill")
                if count is not None:
                    return count
        return None

    def _folders(self) -> Iterator[Path]:
        """Our cgroup's folder and its parents, innermost first, v1's controller before v2."""
        try:
            lines = self.proc_cgroup.read_text(encoding="utf-8").splitlines()
        except OSError:
            lines = ["0::/"]
        roots: list[tuple[Path, str]] = []
        for line in lines:
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
        return max(samples, key=lambda sample: sample.used_ratio, default=None)

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
        return MemorySample("process_tree", float(used), limit, self.oom_kills())


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
    source, inactive = "cgroup2", statistics.get("inactive_file", 0)
    if current is None:
        source = "cgroup1"
        current = _number(folder / "memory.usage_in_bytes")
        limit = _number(folder / "memory.limit_in_bytes")
        inactive = statistics.get("total_inactive_file", inactive)
    if current is None or not limit:
        return None
    stalled = _stalled_ratio(folder / "memory.pressure")
    used = float(max(0, current - inactive))
    return MemorySample(source, used, float(limit), oom_kills, stalled)


class HostMemoryWatchdog:
    """Trips before the kernel does: ``needed`` of the last ``window`` samples over the limit.

    A sample counts when the working set reaches ``abort_pct``, or when it is over ``warn_pct`` and
    every task waited for memory for more than a fifth of the last ten seconds. A kernel kill in
    our own limited cgroup trips at once.
    """

    name = "host_memory"

    def __init__(
        self,
        reader: MemoryReader,
        *,
        warn_pct: float = 85.0,
        abort_pct: float = 92.0,
        interval_s: float = 2.0,
        needed: int = 2,
        window: int = 3,
    ) -> None:
        if not 0 < warn_pct < abort_pct <= 100:
            raise ValueError(f"need 0 < warn ({warn_pct}) < abort ({abort_pct}) <= 100 percent")
        if not 0 < needed <= window:
            raise ValueError(f"cannot see {needed} bad samples in a window of {window}")
        self.interval_s = interval_s
        self._reader = reader
        self._warn_ratio, self._abort_ratio = warn_pct / 100, abort_pct / 100
        self._needed = needed
        self._recent: deque[bool] = deque(maxlen=window)
        self._oom_kills_before = reader.oom_kills()

    def read(self, now_s: float) -> Reading:
        """Sample memory. An unreadable signal gives a reading without values."""
        sample = self._reader.read()
        if sample is None:
            return Reading(self.name)
        values = {
            "working_set_bytes": sample.working_set_bytes,
            "limit_bytes": sample.limit_bytes,
            "used_ratio": sample.used_ratio,
        }
        self._recent.append(self._is_critical(sample))
        warning = ""
        if sample.used_ratio >= self._warn_ratio:
            warning = (
                f"memory is {sample.used_ratio:.0%} full ({_gib(sample.working_set_bytes)} of "
                f"{_gib(sample.limit_bytes)})"
            )
        return Reading(self.name, values, warning, self._verdict(sample))

    def _is_critical(self, sample: MemorySample) -> bool:
        if sample.used_ratio >= self._abort_ratio:
            return True
        stalled = sample.stalled_ratio is not None and sample.stalled_ratio > 0.2
        return stalled and sample.used_ratio >= self._warn_ratio

    def _verdict(self, sample: MemorySample) -> Failure | None:
        evidence: dict[str, str | int | float | bool | None] = {
            "source": sample.source,
            "working_set_bytes": int(sample.working_set_bytes),
            "limit_bytes": int(sample.limit_bytes),
            "used_pct": round(100 * sample.used_ratio, 1),
            "abort_pct": round(100 * self._abort_ratio, 1),
        }
        before, after = self._oom_kills_before, sample.oom_kills
        if sample.source.startswith("cgroup") and None not in (before, after):
            killed = (after or 0) - (before or 0)
            if killed > 0:
                return Failure(
                    FailureCode.HOST_OUT_OF_MEMORY,
                    f"The kernel killed {killed} process(es) of this attempt for memory.",
                    rule_id="guard.host_memory.oom_kill",
                    evidence={**evidence, "oom_kills": killed},
                )
        if sum(self._recent) < self._needed:
            return None
        return Failure(
            FailureCode.HOST_MEMORY_WATCHDOG,
            f"Memory reached {sample.used_ratio:.0%} of {_gib(sample.limit_bytes)}; the sorter was "
            "stopped before the kernel would have killed it.",
            rule_id="guard.host_memory",
            evidence=evidence,
        )


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / 2**30:.1f} GiB"
