"""Slots follow from what the machine has, unless they are given."""

import os

from spikefleet.deploy.machine import Machine, look_at_machine
from spikefleet.infra.launchers.base import Slots


def test_half_the_cores_and_every_gpu_by_default():
    machine = Machine(8, ("GPU-a", "GPU-b"))
    assert machine.slots(cpu_slots=0, gpu_slots=-1) == Slots(cpu=4, gpu=2)


def test_a_single_core_still_gets_a_slot():
    assert Machine(1, ()).slots(cpu_slots=0, gpu_slots=-1) == Slots(cpu=1, gpu=0)


def test_given_slots_are_kept_but_never_more_than_there_are_gpus():
    machine = Machine(8, ("GPU-a",))
    assert machine.slots(cpu_slots=6, gpu_slots=4) == Slots(cpu=6, gpu=1)
    assert machine.slots(cpu_slots=6, gpu_slots=0) == Slots(cpu=6, gpu=0)


def test_this_machine_can_be_looked_at():
    machine = look_at_machine()
    assert machine.cores == len(os.sched_getaffinity(0))
    assert all(gpu_id.startswith("GPU-") for gpu_id in machine.gpu_ids)


def test_the_drivers_own_tool_names_the_gpus(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho GPU-1f2e\necho 'No devices were found'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert look_at_machine().gpu_ids == ("GPU-1f2e",)
