"""A GPU that fills, heats, slows down, is shared, or goes away."""

from collections.abc import Sequence

import pynvml
import pytest
from tests.support.fake_nvml import GIB, UUID, Device, FakeNvml

from spikefleet.core.failures.codes import FailureCategory, FailureCode
from spikefleet.core.guards.base import Reading
from spikefleet.infra.gpus import make_gpu_reader
from spikefleet.runner.guards.gpu_memory import GpuLimits, GpuMemoryWatchdog

OURS = 7


class Bench:
    """A device, and the guard that watches it through the real door."""

    def __init__(self, device: Device | None = None, limits: GpuLimits | None = None) -> None:
        self.device = device or Device()
        self.nvml = FakeNvml(self.device)
        reader = make_gpu_reader((UUID,), lambda: (OURS,), self.nvml)
        self.guard = GpuMemoryWatchdog(reader, limits)

    def read(self, **state: object) -> Reading:
        for name, value in state.items():
            setattr(self.device, name, value)
        return self.guard.read(0.0)

    def fill(self, percents: Sequence[float]) -> list[bool]:
        """Whether the guard trips at each of these shares of the device."""
        return [
            self.read(used=int(pct / 100 * self.device.total)).trip is not None for pct in percents
        ]


def test_a_device_that_stays_full_trips_and_a_moment_does_not() -> None:
    assert Bench().fill([96, 40, 97, 96, 40, 40, 96, 97, 50]) == [False] * 9
    assert Bench().fill([96, 96, 96, 96]) == [False, False, False, True]
    bench = Bench()
    bench.fill([96, 96, 96])
    trip = bench.read(used=int(0.97 * bench.device.total)).trip
    assert trip is not None
    assert (trip.code, trip.row.exit_code) == (FailureCode.GPU_MEMORY_WATCHDOG, 102)
    assert (trip.evidence["device_uuid"], trip.evidence["device_index"]) == (UUID, 0)
    assert (trip.evidence["used_pct_at_trip"], trip.evidence["abort_pct"]) == (97.0, 95.0)
    assert "97%" in trip.message


def test_warnings_hold_until_clearly_below_the_mark() -> None:
    bench = Bench()
    heard = [bool(bench.read(used=int(p * bench.device.total)).warning) for p in (0.84, 0.86, 0.82)]
    assert heard == [False, True, True]
    assert bench.read(used=int(0.79 * bench.device.total)).warning == ""


def test_a_hot_device_warns_then_trips_as_its_own_failure() -> None:
    bench = Bench()
    assert "86 °C" in bench.read(celsius=86).warning
    trips = [bench.read(celsius=c).trip for c in (93, 70, 93, 93, 93)]
    assert [trip is not None for trip in trips] == [False, False, False, False, True]
    trip = trips[-1]
    assert trip is not None
    assert (trip.code, trip.row.exit_code) == (FailureCode.GPU_THERMAL_WATCHDOG, 103)
    assert trip.rule_id == "guard.gpu_thermal"
    assert trip.evidence["temperature_c_at_trip"] == 93.0


def test_a_neighbours_memory_is_not_ours_to_judge() -> None:
    bench = Bench(Device(processes=[(OURS, 4 * GIB), (4711, 75 * GIB)], used=79 * GIB))
    readings = [bench.read() for _ in range(6)]
    assert [reading.trip for reading in readings] == [None] * 6
    assert {reading.warning for reading in readings} == {""}
    assert readings[-1].values["used_ratio"] == 0.05
    assert readings[-1].values["device_used_bytes"] == 79 * GIB
    bench.device.processes = [(OURS, 78 * GIB), (4711, GIB)]
    assert [bench.read().trip is not None for _ in range(4)] == [False, False, False, True]


def test_memory_that_cannot_be_told_apart_makes_the_guard_advisory() -> None:
    bench = Bench(Device(processes=[(4711, 40 * GIB), (4712, 39 * GIB)], used=79 * GIB))
    readings = [bench.read() for _ in range(6)]
    assert [reading.trip for reading in readings] == [None] * 6
    assert "neighbours" in readings[-1].advisory
    assert "used_ratio" not in readings[-1].values
    assert readings[-1].values["temperature_celsius"] == 45.0
    assert [bench.read(celsius=95).trip is not None for _ in range(4)][-1]


def test_an_absent_driver_makes_the_guard_advisory() -> None:
    bench = Bench()
    bench.nvml.init_error = pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
    reading = bench.read()
    assert (dict(reading.values), reading.trip) == ({}, None)
    assert "NVML" in reading.advisory
    bench.nvml.init_error = 0
    assert (bench.read().advisory, bool(bench.read().values)) == ("", True)


def test_a_lost_device_is_a_fault_after_two_of_three_looks() -> None:
    bench = Bench()
    assert bench.read().trip is None
    assert bench.read(error=pynvml.NVML_ERROR_GPU_IS_LOST).trip is None
    trip = bench.read().trip
    assert trip is not None
    assert (trip.code, trip.category) == (FailureCode.GPU_FAULT, FailureCategory.RESOURCE)


def test_slowdowns_warn_and_never_trip_and_a_power_cap_is_normal() -> None:
    bench = Bench()
    assert bench.read(events=0x4).warning == ""
    readings = [bench.read(events=0x64) for _ in range(10)]
    assert [reading.trip for reading in readings] == [None] * 10
    assert "hw_thermal, sw_thermal" in readings[-1].warning
    values = readings[-1].values
    assert (values["slowdown_hw_thermal"], values["slowdown_hw_power_brake"]) == (1.0, 0.0)
    quiet = Bench(limits=GpuLimits(watch_slowdowns=False))
    assert quiet.read(events=0x64).warning == ""


def test_memory_errors_warn_only_when_they_are_new() -> None:
    bench = Bench(Device(uncorrected=5))
    assert bench.read().warning == ""
    assert "2 memory error" in bench.read(uncorrected=7).warning


def test_the_utilisation_of_a_shared_device_says_nothing_of_us() -> None:
    bench = Bench(Device(busy_pct=80))
    bench.read()
    assert bench.guard.busy_ratio == 0.8
    bench.read(processes=[(OURS, GIB), (4711, GIB)])
    assert bench.guard.busy_ratio is None


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        ({"warn_pct": 96.0}, "percent"),
        ({"abort_pct": 101.0}, "percent"),
        ({"warn_temp_c": 95.0}, "°C"),
        ({"warn_temp_c": 0.0}, "°C"),
    ],
)
def test_marks_that_make_no_sense_are_refused(limits: dict[str, float], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        GpuLimits(**limits)  # type: ignore[arg-type]
