"""The machine's preflight as an attempt sees it: what ends it, what is kept."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.attempts import make_spec
from tests.support.fake_nvml import UUID, Device, FakeNvml

from spikefleet.core.attempts import AttemptSpec
from spikefleet.core.failures.codes import FailureCode
from spikefleet.infra.system.memory_reader import MemoryReader
from spikefleet.runner.canary.memory import TrialMachine
from spikefleet.runner.node_checks.facts import Given
from spikefleet.runner.node_checks.gpu_probe import ProbeAnswer
from spikefleet.runner.node_checks.node_preflight import NodeReport, run_node_preflight

GIVEN = Given((UUID,), "sha256:a", nvml=FakeNvml(), probe=lambda: ProbeAnswer(device="x"))


def look(spec: AttemptSpec, place: Path, given: Given = GIVEN) -> NodeReport:
    return run_node_preflight(spec, place, given, MemoryReader())


@pytest.fixture
def spec(tmp_path: Path) -> AttemptSpec:
    return make_spec(tmp_path, backend="kilosort4", gpu=True)


def test_a_fit_machine_lets_the_sort_begin_and_is_described(spec, tmp_path: Path) -> None:
    report = look(spec, tmp_path)
    assert report.failure is None
    assert report.machine == TrialMachine("sha256:a", "NVIDIA H200", "570.124.06")
    assert report.to_json()["facts"]["gpu"]["uuid"] == UUID


def test_a_failing_finding_ends_the_attempt_under_its_own_rule(spec, tmp_path: Path) -> None:
    broken = replace(GIVEN, nvml=FakeNvml(Device(uncorrected=2)))
    report = look(spec, tmp_path, broken)
    assert report.failure is not None
    assert report.failure.code is FailureCode.GPU_FAULT
    assert (report.failure.stage, report.failure.rule_id) == (
        "node_preflight",
        "preflight.gpu_ecc",
    )
    assert report.to_json()["findings"][0]["code"] == "gpu_ecc"


def test_preflights_projection_is_held_against_this_machine(spec, tmp_path: Path) -> None:
    hungry = replace(spec, preflight={"estimate": {"scratch_bytes": 1 << 60}})
    assert "disk_projection" in {finding.code for finding in look(hungry, tmp_path).findings}


def test_with_preflight_off_nothing_is_judged(spec, tmp_path: Path) -> None:
    off = replace(spec, config={"execution": {"preflight": False}})
    report = look(off, tmp_path, replace(GIVEN, nvml=FakeNvml(Device(uncorrected=2))))
    assert (report.findings, report.failure) == ((), None)


def test_strict_mode_ends_the_attempt_for_a_warning(spec, tmp_path: Path) -> None:
    strict = replace(
        spec, config={"execution": {"preflight_strict": True, "preflight_min_free_inter_gb": 1e9}}
    )
    report = look(strict, tmp_path)
    assert report.failure is not None
    assert report.failure.evidence["finding"] == "low_disk_inter"
