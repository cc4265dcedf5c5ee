"""What this machine has to give: cores and GPUs. Reads; reserves nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from spikefleet.infra.launchers.base import Slots

_ASK_TIMEOUT_S = 20.0


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
    """Count cores by affinity and GPUs by the driver's own tool; no driver means no GPU."""
    return Machine(len(os.sched_getaffinity(0)), _gpu_uuids())


def _gpu_uuids() -> tuple[str, ...]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    command = [tool, "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_ASK_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in answer.stdout.splitlines() if line.startswith("GPU-"))
