"""The one door to the GPU driver's library (NVML): which device is ours, and its state.

The library may be absent, the driver broken, the device lost: every such answer is a reason, never
an exception. NVML knows nothing of ``CUDA_VISIBLE_DEVICES``, so devices are named by UUID.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from spikefleet.core.guards.gpu_reader import (
    SLOWDOWNS,
    GpuReader,
    GpuSample,
    GpuUnreadable,
    NoGpuReader,
    Sharing,
)

try:
    import pynvml
except ImportError:  # a machine that runs no sorter need not have it
    pynvml = None

_TEMPERATURE_GPU = 0
_UNCORRECTED, _VOLATILE = 1, 0
_EXCLUSIVE_PROCESS = 3
_LOST = (15, 16)  # GPU is lost, GPU requires restart
_NO_DEVICE = frozenset({"", "void", "none", "no", "-1"})
_SLOWDOWN_BITS = dict(zip((0x04, 0x08, 0x20, 0x40, 0x80), SLOWDOWNS, strict=True))
_KNOWN_CALM = 0x01 | 0x02 | 0x10 | 0x100


@dataclass(frozen=True)
class GpuIdentity:
    """What a device is. None or empty where the driver does not tell.

    ``cuda_version`` is the newest CUDA the driver can run; ``row_repairs`` is "pending" or "failed"
    where memory rows wait for repair or could not be repaired.
    """

    uuid: str
    name: str = ""
    driver_version: str = ""
    cuda_version: tuple[int, int] | None = None
    free_bytes: float | None = None
    total_bytes: float | None = None
    uncorrected_errors: int | None = None
    row_repairs: str = ""


def identify_gpu(visible: Sequence[str], nvml: Any = None) -> GpuIdentity | GpuUnreadable:
    """Say what the first of ``visible`` is, named as for ``make_gpu_reader``."""
    found = _choose(visible, lambda: (), nvml)
    return found.identify() if isinstance(found, NvmlGpu) else found


def make_gpu_reader(
    visible: Sequence[str], own_pids: Callable[[], Iterable[int]], nvml: Any = None
) -> GpuReader:
    """Return the reader of the attempt's GPU: the first of ``visible``.

    ``visible`` are names as CUDA takes them: UUIDs (also shortened, also of MIG instances) or
    indices; ``("all",)`` is every device of the machine. ``own_pids`` are our processes, ``nvml``
    stands for nvidia-ml-py in tests.
    """
    found = _choose(visible, own_pids, nvml)
    return found if isinstance(found, NvmlGpu) else NoGpuReader(found.reason)


def _choose(
    visible: Sequence[str], own_pids: Callable[[], Iterable[int]], nvml: Any
) -> NvmlGpu | GpuUnreadable:
    library = nvml if nvml is not None else pynvml
    if library is None:
        return GpuUnreadable("the NVML library (nvidia-ml-py) is not installed")
    named = [name.strip() for name in visible if name.strip().lower() not in _NO_DEVICE]
    if not named:
        return GpuUnreadable("no GPU was given to this attempt", is_absent=True)
    return NvmlGpu(named[0], own_pids, library)


class NvmlGpu:
    """One device through NVML. A library that failed to start is asked again at each read."""

    def __init__(self, name: str, own_pids: Callable[[], Iterable[int]], nvml: Any) -> None:
        self._name, self._own_pids, self._nvml = name, own_pids, nvml
        self._handle: Any = None
        self._uuid = ""

    def read(self) -> GpuSample | GpuUnreadable:
        """Look at the device; the first look finds it."""
        try:
            if self._handle is None:
                self._nvml.nvmlInit()
                found = self._find()
                if isinstance(found, GpuUnreadable):
                    return found
                self._handle, self._uuid = found
            return self._sample()
        except self._nvml.NVMLError as error:
            self._handle = None
            is_lost = getattr(error, "value", None) in _LOST
            return GpuUnreadable(f"NVML does not answer for {self._name}: {error}", is_lost)

    def identify(self) -> GpuIdentity | GpuUnreadable:
        """Say what the device is, and what it has left."""
        sample = self.read()
        if isinstance(sample, GpuUnreadable):
            return sample
        try:
            return self._identify(sample)
        except self._nvml.NVMLError as error:
            return GpuUnreadable(f"NVML does not answer for {self._name}: {error}", is_lost=True)

    def _identify(self, sample: GpuSample) -> GpuIdentity:
        nvml, handle = self._nvml, self._handle
        is_mig = self._uuid.startswith("MIG-")
        board = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle) if is_mig else handle
        cuda = self._ask("nvmlSystemGetCudaDriverVersion_v2")
        rows = self._ask("nvmlDeviceGetRemappedRows", board)
        failed, pending = (rows[3], rows[2]) if rows is not None else (0, 0)
        return GpuIdentity(
            uuid=sample.uuid,
            name=_text(self._ask("nvmlDeviceGetName", handle) or ""),
            driver_version=_text(self._ask("nvmlSystemGetDriverVersion") or ""),
            cuda_version=None if cuda is None else (int(cuda) // 1000, int(cuda) % 1000 // 10),
            free_bytes=sample.total_bytes - sample.used_bytes,
            total_bytes=sample.total_bytes,
            uncorrected_errors=sample.uncorrected_errors,
            row_repairs="failed" if failed else "pending" if pending else "",
        )

    def _find(self) -> tuple[Any, str] | GpuUnreadable:
        """The device called ``name`` and its full UUID."""
        nvml, name = self._nvml, self._name
        if name.startswith("MIG-"):
            return nvml.nvmlDeviceGetHandleByUUID(name), name
        count = int(nvml.nvmlDeviceGetCount())
        devices = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        uuids = [_text(nvml.nvmlDeviceGetUUID(device)) for device in devices]
        if name.isdigit() and int(name) < count:
            return devices[int(name)], uuids[int(name)]
        if name == "all" and count == 1:
            return devices[0], uuids[0]
        if name == "all":
            return GpuUnreadable(f"which of {count} GPUs is ours is not known")
        matches = [index for index, uuid in enumerate(uuids) if uuid.startswith(name)]
        if len(matches) != 1:
            reason = f"no single GPU of this machine is called {name}"
            return GpuUnreadable(reason, is_absent=True)
        return devices[matches[0]], uuids[matches[0]]

    def _sample(self) -> GpuSample:
        nvml, handle = self._nvml, self._handle
        memory = self._memory(handle)
        is_mig = self._uuid.startswith("MIG-")
        board = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle) if is_mig else handle
        sharing, own_bytes = self._sharing(handle)
        # An instance of a board has no utilisation of its own.
        rates = None if is_mig else self._ask("nvmlDeviceGetUtilizationRates", handle)
        celsius = self._ask("nvmlDeviceGetTemperature", board, _TEMPERATURE_GPU)
        errors = self._ask("nvmlDeviceGetTotalEccErrors", board, _UNCORRECTED, _VOLATILE)
        return GpuSample(
            uuid=self._uuid,
            used_bytes=float(memory.used),
            total_bytes=float(memory.total),
            sharing=sharing,
            own_bytes=own_bytes,
            temperature_c=None if celsius is None else float(celsius),
            slowdowns=self._slowdowns(board),
            utilization_ratio=None if rates is None else rates.gpu / 100.0,
            uncorrected_errors=None if errors is None else int(errors),
        )

    def _memory(self, handle: Any) -> Any:
        """Memory without what the driver keeps for itself, where the driver tells them apart."""
        version = getattr(self._nvml, "nvmlMemory_v2", None)
        if version is not None:
            found = self._ask("nvmlDeviceGetMemoryInfo", handle, version)
            if found is not None:
                return found
        return self._nvml.nvmlDeviceGetMemoryInfo(handle)

    def _sharing(self, handle: Any) -> tuple[Sharing, float | None]:
        """Who uses the device, and the bytes of our own processes where they can be told.

        In a container the driver names processes of the host, which match none of ours: a single
        one is taken for us, several are nobody's.
        """
        if self._ask("nvmlDeviceGetComputeMode", handle) == _EXCLUSIVE_PROCESS:
            return Sharing.EXCLUSIVE, None
        processes = self._ask("nvmlDeviceGetComputeRunningProcesses", handle)
        if not processes:
            return Sharing.EXCLUSIVE, None
        ours = set(self._own_pids())
        own = [process for process in processes if process.pid in ours]
        sizes = [process.usedGpuMemory for process in own]
        own_bytes = float(sum(sizes)) if own and None not in sizes else None
        if len(own) == len(processes) or (not own and len(processes) == 1):
            return Sharing.EXCLUSIVE, own_bytes
        return (Sharing.SHARED if own else Sharing.UNKNOWN), own_bytes

    def _slowdowns(self, board: Any) -> frozenset[str] | None:
        mask = self._ask("nvmlDeviceGetCurrentClocksEventReasons", board)
        if mask is None:
            mask = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", board)
        if mask is None:
            return None
        words = {word for bit, word in _SLOWDOWN_BITS.items() if mask & bit}
        rest = int(mask) & ~sum(_SLOWDOWN_BITS) & ~_KNOWN_CALM
        return frozenset(words | ({f"0x{rest:x}"} if rest else set()))

    def _ask(self, function: str, *arguments: Any) -> Any:
        """Call one function; None where this driver or device does not offer it."""
        call = getattr(self._nvml, function, None)
        if call is None:
            return None
        try:
            return call(*arguments)
        except self._nvml.NVMLError as error:
            if getattr(error, "value", None) in _LOST:
                raise
            return None


def _text(value: str | bytes) -> str:
    """Older libraries answer in bytes."""
    return value.decode() if isinstance(value, bytes) else value
