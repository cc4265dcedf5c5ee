"""Sorts as processes of this machine: the engine of a service without a cluster."""

from __future__ import annotations

from collections.abc import Callable

from spikefleet.controller.sort_spec import SortLimits
from spikefleet.deploy.machine import Machine, look_at_machine
from spikefleet.deploy.rooms.controller import Engine
from spikefleet.deploy.rooms.wiring import RoomName, Wiring
from spikefleet.deploy.settings import base_environment, confined_environment
from spikefleet.infra.launchers.base import Slots
from spikefleet.infra.launchers.process import ProcessLauncher
from spikefleet.infra.launchers.warm import WarmStarts
from spikefleet.signal.preparing.prepared_place import PreparedCopies


def process_engine(
    wiring: Wiring, machine: Machine | None = None, on_round: tuple[Callable[[], object], ...] = ()
) -> Engine:
    """Return an engine whose attempts live in the data folder and share its prepared copies."""
    settings = wiring.settings
    machine = machine or look_at_machine()
    slots = machine.slots(cpu_slots=settings.cpu_slots, gpu_slots=settings.gpu_slots)
    prepared = PreparedCopies(settings.data_dir / "prepared")
    wiring.chore(prepared.tidy)
    return Engine(
        _launcher(wiring, machine, slots),
        SortLimits(
            memory_limit_bytes=settings.attempt_memory_bytes,
            scratch_limit_bytes=settings.attempt_scratch_bytes,
            deadline_s=settings.attempt_deadline_s,
            gpus=slots.gpu,
            image_digest=settings.expected_image_digest,
            cpus_per_attempt=max(1, machine.cores // max(slots.cpu, 1)),
        ),
        wiring.addresses[RoomName.CONTROLLER],
        prepared_folder=str(prepared.root),
        on_round=on_round,
    )


def _launcher(wiring: Wiring, machine: Machine, slots: Slots) -> ProcessLauncher:
    settings = wiring.settings
    kernels = settings.data_dir / "kernels"
    warm = WarmStarts(settings.warm_s, confined_environment(kernels))
    wiring.stack.callback(warm.close)
    return ProcessLauncher(
        settings.data_dir / "attempts",
        slots,
        environment=base_environment(settings.s3_credentials) | {"NUMBA_CACHE_DIR": str(kernels)},
        gpu_ids=machine.gpu_ids,
        warm=warm if settings.warm_s else None,
    )
