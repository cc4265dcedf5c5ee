"""What this machine has to give: cores and GPUs. Reads; reserves nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pynvml

from spikefleet.infra.launchers.base import Slots


@dataclass(frozen=True)
class Machine:
    """Cores this process may use, and the UUIDs of the GPUs the driver shows."""

    cores: int
    gpu_ids: tuple[str, ...]

    def slots(self, *, cpu_slots: int, gpu_slots: int) -> Slots:
        """Fill in the defaults: half the cores as CPU slots, one GPU slot per device."""
        cpu = cpu_slots or max(1, self.cores // 2)
        gpu = len(self.gpu_ids) if gpu_slots < 0 else min(gpu_slots, len(self.gpu_ids))
        return Slots(cpu=cpu, gpu=gpu)


def look_at_machine() -> Machine:
    """Count cores by affinity and GPUs by NVML; no driver means no GPU."""
    return Machine(len(os.sched_getaffinity(0)), _gpu_uuids())


def _gpu_uuids() -> tuple[str, ...]:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())
        ]
        return tuple(str(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles)
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()
