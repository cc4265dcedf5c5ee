"""The door to NVML: names of devices, who uses them, and every way it cannot answer."""

from collections.abc import Sequence
from typing import Any

import pynvml
import pytest
from tests.support.fake_nvml import GIB, MIG_UUID, OTHER_UUID, UUID, Device, FakeNvml

from spikefleet.core.guards.gpu_reader import GpuSample, GpuUnreadable, Sharing
from spikefleet.infra import gpus
from spikefleet.infra.gpus import make_gpu_reader


def look(nvml: Any, visible: Sequence[str] = (UUID,), pids: Sequence[int] = (7,)) -> GpuSample:
    found = make_gpu_reader(visible, lambda: pids, nvml).read()
    assert isinstance(found, GpuSample), found
    return found


def reason(nvml: Any, visible: Sequence[str] = (UUID,)) -> GpuUnreadable:
    found = make_gpu_reader(visible, lambda: (), nvml).read()
    assert isinstance(found, GpuUnreadable)
    return found


@pytest.mark.parametrize(
    "visible", [(UUID,), (UUID[:12],), ("1",), (f" {UUID} ",), (UUID, OTHER_UUID)]
)
def test_the_device_is_found_by_every_name_cuda_takes(visible: Sequence[str]) -> None:
    nvml = FakeNvml(Device(OTHER_UUID, used=1), Device(UUID, used=20 * GIB))
    assert (look(nvml, visible).uuid, look(nvml, visible).used_bytes) == (UUID, 20 * GIB)


def test_the_only_device_of_a_container_is_ours() -> None:
    assert look(FakeNvml(), ("all",)).uuid == UUID
    both = FakeNvml(Device(UUID), Device(OTHER_UUID))
    assert "which of 2 GPUs" in reason(both, ("all",)).reason


@pytest.mark.parametrize("visible", [("GPU-ffff",), ("7",), ("GPU-",)])
def test_a_name_that_fits_no_single_device_is_told(visible: tuple[str, ...]) -> None:
    nvml = FakeNvml(Device(UUID), Device(OTHER_UUID))
    assert visible[0] in reason(nvml, visible).reason


@pytest.mark.parametrize("visible", [(), ("",), ("void",), ("none",), ("-1",)])
def test_no_gpu_given_is_a_reason_not_an_error(visible: tuple[str, ...]) -> None:
    assert reason(FakeNvml(), visible).reason == "no GPU was given to this attempt"


def test_a_missing_library_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "pynvml", None)
    assert "not installed" in reason(None).reason


@pytest.mark.parametrize(
    "code", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED]
)
def test_an_absent_driver_is_a_reason_and_is_asked_again(code: int) -> None:
    nvml = FakeNvml(init_error=code)
    reader = make_gpu_reader((UUID,), lambda: (), nvml)
    found = reader.read()
    assert isinstance(found, GpuUnreadable)
    assert not found.is_lost
    nvml.init_error = 0
    assert isinstance(reader.read(), GpuSample)


def test_the_real_library_without_a_driver_is_a_reason_too() -> None:
    found = make_gpu_reader(("all",), lambda: ()).read()
    if isinstance(found, GpuSample):
        pytest.skip("this machine has a GPU: its driver answers")
    assert found.reason


def test_a_lost_device_is_told_apart_from_one_that_cannot_be_read() -> None:
    lost = reason(FakeNvml(Device(error=pynvml.NVML_ERROR_GPU_IS_LOST)))
    assert (lost.is_lost, "GPU is lost" in lost.reason) == (True, True)
    assert not reason(FakeNvml(Device(error=pynvml.NVML_ERROR_UNKNOWN))).is_lost


def test_memory_leaves_out_what_the_driver_keeps_for_itself() -> None:
    assert look(FakeNvml(Device(used=3 * GIB))).used_bytes == 3 * GIB
    old = FakeNvml(Device(used=3 * GIB))
    old.nvmlMemory_v2 = None
    assert look(old).used_bytes == 3.5 * GIB


def test_a_mig_instance_has_its_own_memory_and_its_boards_temperature() -> None:
    board = Device(UUID, celsius=71, busy_pct=90, events=0x20)
    mig = Device(MIG_UUID, used=4 * GIB, total=10 * GIB, celsius=None, uncorrected=None)
    sample = look(FakeNvml(board, mig=mig), (MIG_UUID,))
    assert (sample.used_bytes, sample.total_bytes) == (4 * GIB, 10 * GIB)
    assert (sample.temperature_c, sample.slowdowns) == (71.0, {"sw_thermal"})
    assert sample.utilization_ratio is None, "an instance has no utilisation of its own"


@pytest.mark.parametrize(
    ("processes", "sharing", "own", "counted"),
    [
        ([], Sharing.EXCLUSIVE, None, 30.0),
        ([(7, 20 * GIB)], Sharing.EXCLUSIVE, 20.0, 30.0),
        ([(4711, 20 * GIB)], Sharing.EXCLUSIVE, None, 30.0),
        ([(7, 4 * GIB), (4711, 26 * GIB)], Sharing.SHARED, 4.0, 4.0),
        ([(7, 3 * GIB), (8, 4 * GIB), (4711, GIB)], Sharing.SHARED, 7.0, 7.0),
        ([(7, None), (4711, None)], Sharing.SHARED, None, None),
        ([(4711, 20 * GIB), (4712, 10 * GIB)], Sharing.UNKNOWN, None, None),
    ],
)
def test_on_a_shared_device_only_our_processes_count(
    processes: list[tuple[int, int | None]],
    sharing: Sharing,
    own: float | None,
    counted: float | None,
) -> None:
    sample = look(FakeNvml(Device(used=30 * GIB, processes=processes)), pids=(7, 8))
    in_gib = [None if value is None else value / GIB for value in (sample.own_bytes,)]
    assert (sample.sharing, in_gib) == (sharing, [own])
    assert sample.counted_bytes == (None if counted is None else counted * GIB)


def test_a_device_for_one_process_is_exclusive_whatever_is_listed() -> None:
    device = Device(compute_mode=3, processes=[(4711, GIB), (4712, GIB)])
    assert look(FakeNvml(device)).sharing is Sharing.EXCLUSIVE


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (0x1, set()),
        (0x113, set()),
        (0x4, {"sw_power_cap"}),
        (0x68, {"hw_slowdown", "sw_thermal", "hw_thermal"}),
        (0x80, {"hw_power_brake"}),
        (0x1004, {"sw_power_cap", "0x1000"}),
    ],
)
def test_reasons_of_a_slow_clock_get_their_names(mask: int, words: set[str]) -> None:
    assert look(FakeNvml(Device(events=mask))).slowdowns == words


def test_what_a_device_does_not_offer_is_none() -> None:
    sample = look(FakeNvml(Device(celsius=None, events=None, busy_pct=None, uncorrected=None)))
    offered = (
        sample.temperature_c,
        sample.slowdowns,
        sample.utilization_ratio,
        sample.uncorrected_errors,
    )
    assert offered == (None, None, None, None)
