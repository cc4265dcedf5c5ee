"""Every guard there is, held to the one contract."""

import os
from pathlib import Path

import pytest
from tests.contracts.guard import GuardContract
from tests.support.fake_nvml import GIB, Device, FakeNvml

from spikefleet.core.guards.base import Guard
from spikefleet.core.guards.gpu_reader import NoGpuReader
from spikefleet.infra.gpus import make_gpu_reader
from spikefleet.infra.system.memory_reader import MemoryReader
from spikefleet.runner.guards.aside import GuardAside
from spikefleet.runner.guards.disk import DiskUsageWatchdog
from spikefleet.runner.guards.gpu_memory import GpuMemoryWatchdog
from spikefleet.runner.guards.host_memory import HostMemoryWatchdog
from spikefleet.runner.guards.io_stall import DeviceIO, IOStallWatchdog
from spikefleet.runner.guards.log_inactivity import LogInactivityWatchdog


class TestHostMemoryWatchdog(GuardContract):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.root = tmp_path / "cgroup"
        self.root.mkdir()
        self.membership = tmp_path / "membership"
        self.membership.write_text("0::/\n")

    def guard(self, used_bytes: int) -> Guard:
        (self.root / "memory.current").write_text(f"{used_bytes}\n")
        (self.root / "memory.max").write_text("1000000\n")
        return HostMemoryWatchdog(MemoryReader(self.root, self.membership))

    def calm(self) -> Guard:
        return self.guard(100_000)

    def in_trouble(self) -> Guard:
        return self.guard(950_000)

    def blind(self) -> Guard:
        reader = MemoryReader(self.root / "nowhere", self.membership / "nowhere")
        return HostMemoryWatchdog(reader)


class TestGpuMemoryWatchdog(GuardContract):
    def guard(self, device: Device) -> Guard:
        return GpuMemoryWatchdog(make_gpu_reader(("all",), lambda: (), FakeNvml(device)))

    def calm(self) -> Guard:
        return self.guard(Device())

    def in_trouble(self) -> Guard:
        return self.guard(Device(used=79 * GIB, total=80 * GIB))

    def blind(self) -> Guard:
        return GpuMemoryWatchdog(NoGpuReader("no driver"))


class TestGpuMemoryWatchdogByHeat(TestGpuMemoryWatchdog):
    def in_trouble(self) -> Guard:
        return self.guard(Device(celsius=99))


class TestGuardAside(TestGpuMemoryWatchdog):
    def guard(self, device: Device) -> Guard:
        return GuardAside(super().guard(device))

    def blind(self) -> Guard:
        return GuardAside(super().blind())


class TestIOStallWatchdog(GuardContract):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        device = os.stat(tmp_path).st_dev
        self.counters = tmp_path / "block" / f"{os.major(device)}:{os.minor(device)}" / "stat"
        self.counters.parent.mkdir(parents=True)

    def guard(self, in_flight: int) -> Guard:
        self.counters.write_text(f"10 0 200 5 20 0 300 9 {in_flight} 4 14\n")
        return IOStallWatchdog(DeviceIO(self.folder, self.folder / "block"))

    def calm(self) -> Guard:
        return self.guard(0)

    def in_trouble(self) -> Guard:
        return self.guard(2)

    def blind(self) -> Guard:
        return IOStallWatchdog(DeviceIO(self.folder, self.folder / "nowhere"))


class TestDiskUsageWatchdog(GuardContract):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def calm(self) -> Guard:
        return DiskUsageWatchdog(self.folder, warn_free_gb=0, abort_free_gb=0)

    def in_trouble(self) -> Guard:
        return DiskUsageWatchdog(self.folder, warn_free_gb=2e9, abort_free_gb=1e9)

    def blind(self) -> Guard:
        too_long = self.folder / ("x" * 300)
        return DiskUsageWatchdog(too_long, warn_free_gb=2e9, abort_free_gb=1e9)


class TestLogInactivityWatchdog(GuardContract):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.log = tmp_path / "child.log"
        self.log.write_text("started\n")

    def calm(self) -> Guard:
        return LogInactivityWatchdog([self.log], timeout_s=600)

    def in_trouble(self) -> Guard:
        return LogInactivityWatchdog([self.log], timeout_s=600)

    def blind(self) -> Guard:
        return LogInactivityWatchdog([self.log.parent / "nowhere.log"], timeout_s=600)
