"""Is the attempt's GPU full, too hot, slowed down or gone? Reads; never touches the device.

Where the device is shared only our own memory counts, since a neighbour's is not ours to judge.
Where memory cannot be told apart, or nothing can be read, it is advisory and says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.failures.evidence_rows import (
    GpuFaultEvidence,
    GpuMemoryEvidence,
    GpuThermalEvidence,
)
from spikefleet.core.guards.base import Reading
from spikefleet.core.guards.gpu_reader import (
    SLOWDOWNS,
    GpuReader,
    GpuSample,
    GpuUnreadable,
    Sharing,
)
from spikefleet.core.text import counted
from spikefleet.runner.guards.samples import Latch, SampleWindow

# A busy GPU at its power cap is as it should be: measured, never warned of.
_NORMAL_SLOWDOWNS = frozenset({"sw_power_cap"})
_FIRST_VISIBLE = 0  # a sorter is given one device, which CUDA shows it as the first
_HYSTERESIS_RATIO = 0.05
_HYSTERESIS_C = 3.0


@dataclass(frozen=True)
class GpuLimits:
    """Marks of a GPU: memory in per cent of the device, temperature in °C.

    ``watch_slowdowns`` warns of throttling. Raises ValueError for marks that make no sense.
    """

    warn_pct: float = 85.0
    abort_pct: float = 95.0
    warn_temp_c: float = 85.0
    abort_temp_c: float = 92.0
    watch_slowdowns: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.warn_pct < self.abort_pct <= 100:
            raise ValueError(
                f"need 0 < warn ({self.warn_pct}) < abort ({self.abort_pct}) <= 100 percent"
            )
        if not 0 < self.warn_temp_c < self.abort_temp_c:
            raise ValueError(f"need 0 < warn ({self.warn_temp_c}) < abort ({self.abort_temp_c}) °C")


class GpuMemoryWatchdog:
    """Trips on a GPU that is full or too hot in four of five samples, or lost in two of three.

    A full device is given more samples than other signals: a sorter's allocator frees its cache
    when it is short, so a moment at the limit is no emergency. Throttling and memory errors warn.
    """

    name = "gpu_memory"

    def __init__(
        self, reader: GpuReader, limits: GpuLimits | None = None, *, interval_s: float = 2.0
    ) -> None:
        limits = self._limits = limits or GpuLimits()
        self.interval_s = interval_s
        self._reader = reader
        self._full = Latch(limits.warn_pct / 100, limits.warn_pct / 100 - _HYSTERESIS_RATIO)
        self._hot = Latch(limits.warn_temp_c, limits.warn_temp_c - _HYSTERESIS_C)
        self._too_full, self._too_hot = SampleWindow(4, 5), SampleWindow(4, 5)
        self._lost = SampleWindow(2, 3)
        self._errors_at_start: int | None = None
        self.busy_ratio: float | None = None
        self.thresholds = {
            "warn_ratio": limits.warn_pct / 100,
            "abort_ratio": limits.abort_pct / 100,
            "warn_celsius": limits.warn_temp_c,
            "abort_celsius": limits.abort_temp_c,
        }

    def read(self, now_s: float) -> Reading:
        """Sample the device. An unreadable one gives a reading without values."""
        sample = self._reader.read()
        if isinstance(sample, GpuUnreadable):
            self.busy_ratio = None
            is_lost = self._lost.add(sample.is_lost)
            trip = _lost(sample.reason) if is_lost else None
            return Reading(self.name, advisory=sample.reason, trip=trip)
        self._lost.add(False)
        is_ours = sample.sharing is Sharing.EXCLUSIVE
        self.busy_ratio = sample.utilization_ratio if is_ours else None
        counted = sample.counted_bytes
        ratio = counted / sample.total_bytes if counted is not None else None
        advisory = ""
        if ratio is None:
            advisory = f"memory of GPU {sample.uuid} cannot be told from its neighbours'"
        too_full = self._too_full.add(ratio is not None and ratio >= self._limits.abort_pct / 100)
        celsius = sample.temperature_c
        too_hot = self._too_hot.add(celsius is not None and celsius >= self._limits.abort_temp_c)
        trip = None
        if too_hot and celsius is not None:
            trip = self._hot_trip(sample, celsius)
        elif too_full and ratio is not None:
            trip = self._full_trip(sample, ratio)
        warning = "; ".join(self._warnings(sample, ratio))
        return Reading(self.name, _values(sample, ratio), warning, trip, advisory)

    def _warnings(self, sample: GpuSample, ratio: float | None) -> list[str]:
        found = []
        if ratio is not None and self._full.add(ratio):
            found.append(f"GPU memory is {ratio:.0%} full")
        if sample.temperature_c is not None and self._hot.add(sample.temperature_c):
            found.append(f"the GPU has {sample.temperature_c:.0f} °C")
        slowdowns = (sample.slowdowns or frozenset()) - _NORMAL_SLOWDOWNS
        if self._limits.watch_slowdowns and slowdowns:
            found.append(f"the GPU is slowed down ({', '.join(sorted(slowdowns))})")
        errors = sample.uncorrected_errors
        if errors is not None:
            if self._errors_at_start is None:
                self._errors_at_start = errors
            if errors > self._errors_at_start:
                new = counted(errors - self._errors_at_start, "memory error")
                found.append(f"{new} of the GPU since the start")
        return found

    def _full_trip(self, sample: GpuSample, ratio: float) -> Failure:
        return Failure(
            FailureCode.GPU_MEMORY_WATCHDOG,
            f"GPU memory reached {ratio:.0%} of {sample.total_bytes / 2**30:.1f} GiB; the sorter "
            "was stopped.",
            rule_id="guard.gpu_memory",
            evidence=GpuMemoryEvidence(
                device_index=_FIRST_VISIBLE,
                device_uuid=sample.uuid,
                used_pct_at_trip=round(100 * ratio, 1),
                abort_pct=self._limits.abort_pct,
                used_bytes=int(sample.used_bytes),
                own_bytes=None if sample.own_bytes is None else int(sample.own_bytes),
                total_bytes=int(sample.total_bytes),
                sharing=str(sample.sharing),
            ),
        )

    def _hot_trip(self, sample: GpuSample, celsius: float) -> Failure:
        return Failure(
            FailureCode.GPU_THERMAL_WATCHDOG,
            f"The GPU reached {celsius:.0f} °C; the sorter was stopped at "
            f"{self._limits.abort_temp_c:.0f} °C.",
            rule_id="guard.gpu_thermal",
            evidence=GpuThermalEvidence(
                device_index=_FIRST_VISIBLE,
                device_uuid=sample.uuid,
                temperature_c_at_trip=celsius,
                abort_temp_c=self._limits.abort_temp_c,
                slowdowns=sorted(sample.slowdowns or ()),
            ),
        )


def _lost(reason: str) -> Failure:
    return Failure(
        FailureCode.GPU_FAULT,
        "The driver says the GPU is gone; the sorter was stopped.",
        rule_id="guard.gpu_lost",
        evidence=GpuFaultEvidence(reason="lost", fault=reason),
    )


def _values(sample: GpuSample, ratio: float | None) -> dict[str, float]:
    known = {
        "device_used_bytes": sample.used_bytes,
        "total_bytes": sample.total_bytes,
        "own_bytes": sample.own_bytes,
        "used_ratio": ratio,
        "temperature_celsius": sample.temperature_c,
        "utilization_ratio": sample.utilization_ratio,
        "uncorrected_errors": sample.uncorrected_errors,
    }
    values = {name: float(value) for name, value in known.items() if value is not None}
    if sample.slowdowns is not None:
        for word in SLOWDOWNS:
            values[f"slowdown_{word}"] = float(word in sample.slowdowns)
    return values
