"""What guards know of a GPU, whoever reads it. Values only; the driver's library is not here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

SLOWDOWNS = ("sw_power_cap", "hw_slowdown", "sw_thermal", "hw_thermal", "hw_power_brake")


class Sharing(StrEnum):
    """Who else uses the device. UNKNOWN: processes are seen that cannot be told apart."""

    EXCLUSIVE = "exclusive"
    SHARED = "shared"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class GpuSample:
    """One look at one device (or one MIG instance of it).

    ``used_bytes`` is everyone's memory, ``own_bytes`` that of our process tree; ``temperature_c``
    in °C; ``slowdowns`` are why the clock is held down, in the words of ``SLOWDOWNS``; None where
    the driver does not tell.
    """

    uuid: str  #: the device
    used_bytes: float
    total_bytes: float  #: its memory
    sharing: Sharing = Sharing.EXCLUSIVE  #: who else uses it
    own_bytes: float | None = None
    temperature_c: float | None = None
    slowdowns: frozenset[str] | None = None
    utilization_ratio: float | None = None  #: share of the time it computed
    uncorrected_errors: int | None = None  #: memory errors it could not correct, so far

    @property
    def counted_bytes(self) -> float | None:
        """The memory we answer for: all of an exclusive device, our own of a shared one."""
        return self.used_bytes if self.sharing is Sharing.EXCLUSIVE else self.own_bytes


@dataclass(frozen=True)
class GpuUnreadable:
    """Why nothing can be read.

    ``is_lost`` when the driver says the device is gone, ``is_absent`` when it never was there.
    """

    reason: str
    is_lost: bool = False
    is_absent: bool = False


class GpuReader(Protocol):
    """Reads the attempt's GPU. Must not raise on a device it cannot read."""

    def read(self) -> GpuSample | GpuUnreadable:
        """Look once. May block as long as the driver does."""
        ...


class NoGpuReader:
    """Stands where no GPU can be read, and says why."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def read(self) -> GpuUnreadable:
        """Return the reason."""
        return GpuUnreadable(self._reason)
