"""The GPU driver's library with recorded answers, under the names of nvidia-ml-py.

It stands at the door where the real module stands; values are changed while a test runs. The
classes of errors are the real ones, since a driver-less machine has them too.
"""

# ruff: noqa: N802, N815 - the names are nvidia-ml-py's

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pynvml

GIB = 2**30
UUID = "GPU-8f6ad1c2-0c1b-4f0e-9b51-2f9d1c7a55e0"
OTHER_UUID = "GPU-11111111-2222-3333-4444-555555555555"
MIG_UUID = "MIG-3c9a7a0e-5a4f-5b7e-8d7e-0d2f6f5b8c11"


@dataclass
class Device:
    """One device as the driver shows it; None is what it does not offer."""

    uuid: str = UUID
    used: int = 10 * GIB
    total: int = 80 * GIB
    celsius: int | None = 45
    events: int | None = 0x1
    busy_pct: int | None = 0
    processes: list[tuple[int, int | None]] = field(default_factory=list)
    compute_mode: int = 0
    uncorrected: int | None = 0
    name: str = "NVIDIA H200"
    rows: tuple[int, int, int, int] | None = (0, 0, 0, 0)
    error: int | None = None


class FakeNvml:
    """A module's worth of functions. ``init_error`` is what ``nvmlInit`` fails with."""

    NVMLError = pynvml.NVMLError
    nvmlMemory_v2 = pynvml.nvmlMemory_v2
    driver, cuda = "570.124.06", 12080

    def __init__(self, *devices: Device, mig: Device | None = None, init_error: int = 0) -> None:
        self.devices = list(devices) or [Device()]
        self.mig = mig
        self.init_error = init_error

    def nvmlInit(self) -> None:
        if self.init_error:
            raise self.NVMLError(self.init_error)

    def nvmlDeviceGetCount(self) -> int:
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Device:
        return self.devices[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Device:
        known = [*self.devices, *([self.mig] if self.mig else [])]
        found = [device for device in known if device.uuid == uuid]
        if not found:
            raise self.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return found[0]

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle: Device) -> Device:
        return self.devices[0]

    def nvmlDeviceGetUUID(self, handle: Device) -> str:
        return handle.uuid

    def nvmlDeviceGetMemoryInfo(self, handle: Device, version: Any = None) -> SimpleNamespace:
        self._check(handle)
        reserved = 0 if version else GIB // 2
        return SimpleNamespace(used=handle.used + reserved, total=handle.total)

    def nvmlDeviceGetComputeMode(self, handle: Device) -> int:
        return handle.compute_mode

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Device) -> list[SimpleNamespace]:
        self._check(handle)
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in handle.processes]

    def nvmlDeviceGetTemperature(self, handle: Device, sensor: int) -> int:
        return int(self._offered(handle.celsius))

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: Device) -> int:
        return int(self._offered(handle.events))

    def nvmlDeviceGetTotalEccErrors(self, handle: Device, kind: int, counter: int) -> int:
        return int(self._offered(handle.uncorrected))

    def nvmlDeviceGetName(self, handle: Device) -> str:
        return handle.name

    def nvmlDeviceGetRemappedRows(self, handle: Device) -> tuple[int, int, int, int]:
        if handle.rows is None:
            raise self.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return handle.rows

    def nvmlSystemGetDriverVersion(self) -> str:
        return self.driver

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
        return self.cuda

    def nvmlDeviceGetUtilizationRates(self, handle: Device) -> SimpleNamespace:
        if handle is self.mig:
            raise self.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(gpu=self._offered(handle.busy_pct), memory=0)

    def _check(self, handle: Device) -> None:
        if handle.error is not None:
            raise self.NVMLError(handle.error)

    def _offered(self, value: int | None) -> int:
        if value is None:
            raise self.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return value
