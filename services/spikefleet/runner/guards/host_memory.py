"""Is the attempt about to run out of memory? It trips before the kernel would kill.

Page cache at the limit is no danger, since the kernel drops it: only memory that cannot be dropped
counts, or every task of the cgroup waiting for memory. The watchdog decides; it never kills.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.failures.evidence_rows import HostMemoryEvidence, HostOutOfMemoryEvidence
from spikefleet.core.guards.base import Reading
from spikefleet.core.guards.sources import MemorySample, MemorySource
from spikefleet.core.text import format_gib
from spikefleet.runner.guards.samples import Latch, SampleWindow

STALLED_RATIO = 0.2
_CALM_RATIO = 0.7
_HURRY = 8
_HURRY_MOST = 20
_LOOKS_AHEAD = 3
_NEEDED, _WINDOW = 2, 3
_HYSTERESIS = 0.05


class HostMemoryWatchdog:
    """Trips before the kernel does: two of the last three samples over the limit.

    A sample counts when held memory reaches ``abort_pct``; when it is over ``warn_pct`` and grows
    so fast that the limit is two samples away; or when the working set is over ``warn_pct`` and
    every task waited for memory for more than a fifth of the last ten seconds. Above seven tenths
    it looks eight times as often, and at least three times before growth can reach the mark. A
    kernel kill in our own limited cgroup trips at once: it is no reading but a count of what
    happened. Where ``own_pids`` tells our processes and the cgroup holds others too, one of ours
    must be gone since the last look: attempts that share a container do not answer for each other.
    """

    name = "host_memory"

    def __init__(
        self,
        reader: MemorySource,
        *,
        warn_pct: float = 85.0,
        abort_pct: float = 92.0,
        interval_s: float = 2.0,
        own_pids: Callable[[], Collection[int]] | None = None,
    ) -> None:
        if not 0 < warn_pct < abort_pct <= 100:
            raise ValueError(f"need 0 < warn ({warn_pct}) < abort ({abort_pct}) <= 100 percent")
        self.interval_s = interval_s
        self._reader = reader
        self._calm_interval_s = interval_s
        self._warn_ratio, self._abort_ratio = warn_pct / 100, abort_pct / 100
        self._critical = SampleWindow(_NEEDED, _WINDOW)
        self._full = Latch(self._warn_ratio, max(0.0, self._warn_ratio - _HYSTERESIS))
        self._before: tuple[float, float] | None = None
        self._oom_kills = reader.oom_kills()
        self._own_pids = own_pids
        self._pids: frozenset[int] = frozenset()
        self.thresholds = {
            "warn_ratio": self._warn_ratio,
            "abort_ratio": self._abort_ratio,
            "stalled_ratio": STALLED_RATIO,
        }

    def read(self, now_s: float) -> Reading:
        """Sample memory. An unreadable signal gives a reading without values."""
        sample = self._reader.read()
        if sample is None:
            return Reading(self.name, advisory="neither a cgroup nor the node tells its memory")
        growth = self._growth(sample, now_s)
        self.interval_s = self._pace(sample, growth)
        ahead = (sample.held_bytes + 2 * self.interval_s * growth) / sample.limit_bytes
        warning = ""
        if self._full.add(sample.held_ratio):
            warning = (
                f"memory is {sample.held_ratio:.0%} full ({format_gib(sample.held_bytes)} of "
                f"{format_gib(sample.limit_bytes)})"
            )
        is_critical = self._critical.add(self._is_critical(sample, ahead))
        killed, is_ours = self._kernel_kills(sample)
        if killed and not is_ours and not warning:
            warning = f"the kernel killed {killed} process(es) of a neighbour for memory"
        trip = self._trip(sample) if is_critical else None
        if killed and is_ours:
            trip = self._kernel_trip(sample, killed)
        return Reading(self.name, _values(sample), warning, trip)

    def _growth(self, sample: MemorySample, now_s: float) -> float:
        """Held bytes per second since the last look; 0 at first and while they shrink."""
        before, self._before = self._before, (now_s, sample.held_bytes)
        if before is None or now_s <= before[0]:
            return 0.0
        return max(0.0, sample.held_bytes - before[1]) / (now_s - before[0])

    def _pace(self, sample: MemorySample, growth: float) -> float:
        """How soon to look again: the sooner, the fuller and the faster it fills."""
        calm_s = self._calm_interval_s
        pace_s = calm_s / (_HURRY if sample.held_ratio >= _CALM_RATIO else 1)
        if growth > 0:
            left = max(0.0, self._abort_ratio * sample.limit_bytes - sample.held_bytes)
            pace_s = min(pace_s, left / growth / _LOOKS_AHEAD)
        return max(pace_s, calm_s / _HURRY_MOST)

    def _is_critical(self, sample: MemorySample, ahead: float) -> bool:
        if sample.held_ratio >= self._abort_ratio:
            return True
        if sample.held_ratio >= self._warn_ratio and ahead >= 1.0:
            return True
        is_stalled = sample.stalled_ratio is not None and sample.stalled_ratio > STALLED_RATIO
        return is_stalled and sample.used_ratio >= self._warn_ratio

    def _kernel_kills(self, sample: MemorySample) -> tuple[int, bool]:
        """Kernel kills since the last look, and whether one of our processes is gone with them."""
        before, self._oom_kills = self._oom_kills, sample.oom_kills
        pids_before = self._pids
        self._pids = frozenset(self._own_pids()) if self._own_pids else frozenset()
        if not sample.source.startswith("cgroup") or before is None or sample.oom_kills is None:
            return 0, False
        killed = max(0, sample.oom_kills - before)
        if killed == 0 or self._own_pids is None or pids_before - self._pids:
            return killed, True
        return killed, self._reader.is_ours_alone(self._pids)

    def _kernel_trip(self, sample: MemorySample, killed: int) -> Failure:
        return Failure(
            FailureCode.HOST_OUT_OF_MEMORY,
            f"The kernel killed {killed} process(es) of this attempt for memory.",
            rule_id="guard.host_memory.oom_kill",
            evidence=HostOutOfMemoryEvidence(oom_kills=killed, **self._readings(sample)),
        )

    def _trip(self, sample: MemorySample) -> Failure:
        return Failure(
            FailureCode.HOST_MEMORY_WATCHDOG,
            f"Memory reached {self._ratio(sample):.0%} of "
            f"{format_gib(sample.limit_bytes)}; the sorter was stopped before the kernel would "
            "have killed it.",
            rule_id="guard.host_memory",
            evidence=HostMemoryEvidence(**self._readings(sample)),
        )

    def _ratio(self, sample: MemorySample) -> float:
        """The share of the limit that decided: held memory, else the working set that stalls."""
        is_held = sample.held_ratio >= self._warn_ratio
        return sample.held_ratio if is_held else sample.used_ratio

    def _readings(self, sample: MemorySample) -> dict[str, Any]:
        return {
            "source": sample.source,
            "working_set_bytes": int(sample.working_set_bytes),
            "held_bytes": int(sample.held_bytes),
            "limit_bytes": int(sample.limit_bytes),
            "percent_at_trip": round(100 * self._ratio(sample), 1),
            "abort_pct": round(100 * self._abort_ratio, 1),
            "stalled_ratio": sample.stalled_ratio,
        }


def _values(sample: MemorySample) -> dict[str, float]:
    known = {
        "working_set_bytes": sample.working_set_bytes,
        "held_bytes": sample.held_bytes,
        "limit_bytes": sample.limit_bytes,
        "used_ratio": sample.used_ratio,
        "stalled_ratio": sample.stalled_ratio,
        "limit_hits": sample.limit_hits,
        "oom_kills": sample.oom_kills,
    }
    return {name: float(value) for name, value in known.items() if value is not None}
