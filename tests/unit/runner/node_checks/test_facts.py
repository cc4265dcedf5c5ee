"""What is read of a machine: this one, and others that a fake driver shows."""

import sys
from dataclasses import replace
from pathlib import Path

import pynvml
import pytest
from tests.support.fake_nvml import GIB, OTHER_UUID, UUID, Device, FakeNvml

from spikefleet.core.guards.gpu_reader import GpuUnreadable
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.core.sorters.row import BackendInfo
from spikefleet.infra.gpus import GpuIdentity
from spikefleet.infra.system.memory_reader import MemoryReader
from spikefleet.runner.node_checks.facts import (
    Given,
    NodeFacts,
    Wanted,
    gather_facts,
    read_software,
)
from spikefleet.runner.node_checks.gpu_probe import ProbeAnswer, probe_cuda

LUPIN = Wanted(BACKENDS["lupin"])
COMPUTES = ProbeAnswer(device="NVIDIA H200")


def on_gpu(nvml: FakeNvml, *visible: str, probe: ProbeAnswer = COMPUTES) -> NodeFacts:
    given = Given(visible or (UUID,), nvml=nvml, probe=lambda: probe)
    return gather_facts(Wanted(BACKENDS["kilosort4"], gpu=True), Path("/"), given)


def test_this_machine_is_read_without_loading_a_sorter(tmp_path: Path) -> None:
    before = set(sys.modules)
    facts = gather_facts(LUPIN, tmp_path / "not" / "there", Given())
    assert not {"torch", "kilosort"} & (set(sys.modules) - before)
    assert facts.free_scratch_bytes
    assert facts.available_memory_bytes
    assert facts.scratch_writable is True
    assert facts.software.versions["spikeinterface"]
    assert facts.software.missing == ()
    assert (facts.gpu, facts.probe) == (None, None)
    assert facts.to_json()["versions"]["torch"]


def test_what_an_attempts_own_container_holds_already_is_not_taken_off_its_limit(
    tmp_path: Path,
) -> None:
    memory = MemoryReader()
    sample = memory.read()
    assert sample is not None
    own = replace(LUPIN, memory_limit_bytes=int(sample.limit_bytes))
    assert gather_facts(own, tmp_path, Given(), memory).available_memory_bytes == int(
        sample.limit_bytes
    )


def test_a_file_in_the_place_of_the_scratch_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    facts = gather_facts(LUPIN, tmp_path / "taken" / "attempt", Given())
    assert facts.scratch_writable is False


def test_the_tested_range_is_the_one_our_own_metadata_asks_for() -> None:
    software = read_software(BACKENDS["kilosort4"])
    assert software.tested["kilosort"] == ("4.1.7", "4.2")
    assert software.tested["spikeinterface"] == ("0.105", "0.106")


def test_a_sorter_that_is_not_installed_is_missing() -> None:
    ghost = BackendInfo("ghost", "Ghost", "sorters", "ghost-sorter", uses_gpu=False)
    assert read_software(ghost).missing == ("ghost-sorter",)


def test_a_package_whose_files_are_gone_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = BackendInfo("broken", "Broken", "", "nvidia-ml-py", uses_gpu=False)
    assert read_software(broken).unfound is True  # recorded under a name that is no package
    assert read_software(BACKENDS["kilosort4"]).unfound is False


def test_the_gpu_is_identified_by_its_uuid() -> None:
    nvml = FakeNvml(Device(OTHER_UUID), Device(UUID, used=20 * GIB, name="NVIDIA A10"))
    gpu = on_gpu(nvml).gpu
    assert isinstance(gpu, GpuIdentity)
    assert (gpu.uuid, gpu.name, gpu.free_bytes) == (UUID, "NVIDIA A10", 60 * GIB)
    assert (gpu.driver_version, gpu.cuda_version) == ("570.124.06", (12, 8))
    kept = on_gpu(nvml).to_json()["gpu"]
    assert (kept["model"], kept["driver"]) == ("NVIDIA A10", "570.124.06")


@pytest.mark.parametrize(
    ("rows", "repairs"),
    [((4, 0, 0, 0), ""), ((0, 1, 1, 0), "pending"), ((0, 1, 1, 1), "failed"), (None, "")],
)
def test_rows_that_wait_for_repair_are_told(
    rows: tuple[int, int, int, int] | None, repairs: str
) -> None:
    gpu = on_gpu(FakeNvml(Device(rows=rows))).gpu
    assert isinstance(gpu, GpuIdentity)
    assert gpu.row_repairs == repairs


def test_a_gpu_that_is_not_there_is_not_asked_to_compute() -> None:
    facts = on_gpu(FakeNvml(Device(UUID)), OTHER_UUID)
    assert isinstance(facts.gpu, GpuUnreadable)
    assert (facts.gpu.is_absent, facts.probe) == (True, None)


def test_a_lost_gpu_is_lost() -> None:
    facts = on_gpu(FakeNvml(Device(error=pynvml.NVML_ERROR_GPU_IS_LOST)))
    assert isinstance(facts.gpu, GpuUnreadable)
    assert (facts.gpu.is_lost, facts.probe) == (True, None)


def test_without_an_answering_driver_library_the_gpu_must_still_compute() -> None:
    facts = on_gpu(FakeNvml(init_error=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND))
    assert isinstance(facts.gpu, GpuUnreadable)
    assert (facts.gpu.is_absent, facts.probe) == (False, COMPUTES)


def test_the_environments_plugin_folder_matters_only_to_what_reads_hdf5(tmp_path: Path) -> None:
    gone, there = str(tmp_path / "gone"), str(tmp_path / "there")
    Path(there).mkdir()
    (Path(there) / "libcompression.so").write_bytes(b"")
    maxwell = Wanted(BACKENDS["lupin"], entry="data.raw.h5")
    binary = Wanted(BACKENDS["lupin"], entry="data.bin")
    stale = Given(hdf5_plugin_path=gone)
    assert gather_facts(maxwell, tmp_path, stale).lost_plugin_folder == gone
    assert gather_facts(binary, tmp_path, stale).lost_plugin_folder == ""
    several = Given(hdf5_plugin_path=f"{gone}:{there}")
    assert gather_facts(maxwell, tmp_path, several).lost_plugin_folder == ""
    configured = Wanted(BACKENDS["lupin"], entry="data.bin", hdf5_plugin_path=gone)
    assert gather_facts(configured, tmp_path, Given()).lost_plugin_folder == gone
    listed = Wanted(BACKENDS["lupin"], entry="data.bin", hdf5_plugin_path=f"{gone}:{there}")
    assert gather_facts(listed, tmp_path, Given()).lost_plugin_folder == ""


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_a_probe_that_answers_is_believed() -> None:
    said = 'print(\'{"device": "NVIDIA H200", "torch": "2.9", "cuda": "12.6"}\')'
    assert probe_cuda(python(said)) == ProbeAnswer("", "NVIDIA H200", "2.9", "12.6")


def test_a_probe_that_hangs_is_given_up_in_time() -> None:
    answer = probe_cuda(python("import time; time.sleep(60)"), patience_s=0.5)
    assert "within" in answer.error


def test_a_probe_that_dies_tells_its_last_words() -> None:
    answer = probe_cuda(python("raise ImportError('libcudart.so.12: cannot open')"))
    assert "libcudart.so.12" in answer.error
    assert "-11" in probe_cuda(python("import ctypes; ctypes.string_at(0)")).error
    assert "could not be started" in probe_cuda(("/no/such/program",)).error


@pytest.mark.slow
def test_the_real_probe_says_what_this_machine_can() -> None:
    answer = probe_cuda()
    if not Path("/dev/nvidiactl").exists():
        assert answer.error == "torch sees no GPU"
        assert answer.torch
        pytest.skip("no NVIDIA GPU here: only the refusal was checked, not the computation")
    assert answer.error == ""
    assert answer.device
