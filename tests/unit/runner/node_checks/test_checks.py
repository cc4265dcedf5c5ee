"""Each check of the machine that sorts: what it says, and that a fit machine hears nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from spikefleet.core.config.execution import ExecutionConfig
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.findings.catalogue import FINDINGS, FindingPlace
from spikefleet.core.findings.finding import FindingLevel
from spikefleet.core.guards.gpu_reader import GpuUnreadable
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.core.sorters.row import BackendInfo
from spikefleet.infra.gpus import GpuIdentity
from spikefleet.runner.node_checks.checks import NODE_CHECKS
from spikefleet.runner.node_checks.facts import NodeFacts, SoftwareFacts, Wanted
from spikefleet.runner.node_checks.gpu_probe import ProbeAnswer

GIB = 1 << 30
GPU = GpuIdentity("GPU-1", "NVIDIA H200", "570.1", (12, 8), 130 * GIB, 140 * GIB, 0)
SOFTWARE = SoftwareFacts(
    versions={"kilosort": "4.1.7", "spikeinterface": "0.105.3"},
    tested={"kilosort": ("4.1.7", "4.2"), "spikeinterface": ("0.105", "0.106")},
    torch_cuda="12.6",
)
WANTED = Wanted(BACKENDS["kilosort4"], ExecutionConfig(n_jobs=8), gpu=True, scratch_bytes=5 * GIB)
HEALTHY = NodeFacts(
    wanted=WANTED,
    software=SOFTWARE,
    scratch="/scratch",
    free_scratch_bytes=500 * GIB,
    scratch_writable=True,
    available_memory_bytes=64 * GIB,
    open_files=1 << 20,
    processes=None,
    gpu=GPU,
    probe=ProbeAnswer(device="NVIDIA H200", torch="2.9", cuda="12.6"),
)

Change = Callable[[NodeFacts], NodeFacts]


def wanting(**changes: Any) -> Change:
    return lambda facts: replace(facts, wanted=replace(facts.wanted, **changes))


def with_gpu(**changes: Any) -> Change:
    return lambda facts: replace(facts, gpu=replace(GPU, **changes))


def with_software(**changes: Any) -> Change:
    return lambda facts: replace(facts, software=replace(SOFTWARE, **changes))


def having(**changes: Any) -> Change:
    return lambda facts: replace(facts, **changes)


def asking(**changes: Any) -> Change:
    return wanting(execution=ExecutionConfig(**{"n_jobs": 8, **changes}))


def both(*changes: Change) -> Change:
    def change(facts: NodeFacts) -> NodeFacts:
        for one in changes:
            facts = one(facts)
        return facts

    return change


WARNINGS: list[tuple[str, Change]] = [
    ("low_disk_inter", having(free_scratch_bytes=19 * GIB)),
    ("disk_projection", wanting(scratch_bytes=501 * GIB)),
    (
        "rt_sort_disk_projection",
        wanting(backend=BackendInfo("rt_sort", "", "", "", True), scratch_bytes=501 * GIB),
    ),
    ("low_ephemeral", wanting(scratch_limit_bytes=4 * GIB)),
    ("ram_unknown", having(available_memory_bytes=None)),
    ("low_ram", having(available_memory_bytes=3 * GIB)),
    ("ram_projection", wanting(memory_bytes=65 * GIB)),
    ("sorter_dependency_missing", with_software(missing=("pynwb",))),
    (
        "spikeinterface_version_outside_tested_range",
        with_software(versions={"spikeinterface": "0.106.0"}),
    ),
    ("kilosort4_version_outside_tested_range", with_software(versions={"kilosort": "4.0.9"})),
    ("docker_image_digest_unverified", asking(docker_image_expected_digest="sha256:a")),
    ("low_rlimit_nofile", having(open_files=1024)),
    ("low_rlimit_nproc", both(having(processes=300), asking(n_jobs=100))),
    ("vram_unknown", having(gpu=GpuUnreadable("no library"))),
    ("low_vram", with_gpu(free_bytes=1.9 * GIB)),
    ("low_vram", wanting(gpu_memory_bytes=131 * GIB)),
    ("low_vram", having(probe=ProbeAnswer("CUDA out of memory", out_of_memory=True))),
    ("gpu_ecc", with_gpu(row_repairs="pending")),
    ("gpu_driver_too_old", with_gpu(cuda_version=(12, 4))),
]

FAILURES: list[tuple[str, FailureCode, Change]] = [
    ("intermediate_readonly", FailureCode.ENVIRONMENT_OTHER, having(scratch_writable=False)),
    ("sorter_dependency_missing", FailureCode.MODEL_LOADING, with_software(missing=("kilosort",))),
    ("sorter_dependency_missing", FailureCode.MODEL_LOADING, with_software(unfound=True)),
    ("hdf5_plugin_missing", FailureCode.HDF5_PLUGIN_MISSING, having(lost_plugin_folder="/gone")),
    (
        "docker_image_digest_mismatch",
        FailureCode.DOCKER_ENVIRONMENT,
        both(
            asking(docker_image_expected_digest="registry/image@sha256:a"),
            having(image_digest="sha256:b"),
        ),
    ),
    (
        "gpu_device_not_present",
        FailureCode.ENVIRONMENT_OTHER,
        having(gpu=GpuUnreadable("no GPU was given", is_absent=True), probe=None),
    ),
    (
        "gpu_device_not_present",
        FailureCode.GPU_FAULT,
        having(gpu=GpuUnreadable("GPU is lost", is_lost=True), probe=None),
    ),
    ("gpu_ecc", FailureCode.GPU_FAULT, with_gpu(uncorrected_errors=3)),
    ("gpu_ecc", FailureCode.GPU_FAULT, with_gpu(row_repairs="failed")),
    ("gpu_driver_too_old", FailureCode.ENVIRONMENT_OTHER, with_gpu(cuda_version=(11, 8))),
    (
        "cuda_probe_failed",
        FailureCode.ENVIRONMENT_OTHER,
        having(probe=ProbeAnswer("torch sees no GPU")),
    ),
]


def test_a_fit_machine_has_nothing_to_say() -> None:
    assert NODE_CHECKS.run(HEALTHY) == ()


def test_every_finding_of_the_catalogue_for_this_place_has_a_check_and_a_test() -> None:
    due = {r.code for r in FINDINGS if r.place in (FindingPlace.NODE, FindingPlace.BOTH)}
    assert set(NODE_CHECKS.codes) == due
    assert {code for code, *_ in WARNINGS} | {code for code, *_ in FAILURES} == due


@pytest.mark.parametrize(("code", "change"), WARNINGS, ids=[code for code, _ in WARNINGS])
def test_what_may_be_enough_warns_and_lets_the_sort_begin(code: str, change: Change) -> None:
    (found,) = NODE_CHECKS.run(change(HEALTHY))
    assert (found.code, found.level, found.error) == (code, FindingLevel.WARN, None)
    assert found.message.endswith(".")
    assert found.remediation


@pytest.mark.parametrize(("code", "failure", "change"), FAILURES)
def test_what_would_break_every_sort_fails_with_its_own_class(
    code: str, failure: FailureCode, change: Change
) -> None:
    (found,) = NODE_CHECKS.run(change(HEALTHY))
    assert (found.code, found.level) == (code, FindingLevel.FAIL)
    assert found.error is not None
    assert found.error.code is failure
    assert found.remediation


def test_both_sides_of_the_marks() -> None:
    exact = replace(
        HEALTHY,
        free_scratch_bytes=20 * GIB,
        available_memory_bytes=4 * GIB,
        open_files=4096,
        processes=256,
        gpu=replace(GPU, free_bytes=2.0 * GIB),
    )
    assert NODE_CHECKS.run(exact) == ()


def test_the_same_image_under_a_name_is_the_same_image() -> None:
    named = both(
        asking(docker_image_expected_digest="registry/image@SHA256:aB"),
        having(image_digest="sha256:ab"),
    )
    assert NODE_CHECKS.run(named(HEALTHY)) == ()


def test_the_configured_limits_count() -> None:
    strict = asking(preflight_min_free_inter_gb=600, preflight_min_free_vram_gb=200)
    assert [f.code for f in NODE_CHECKS.run(strict(HEALTHY))] == ["low_disk_inter", "low_vram"]
    lenient = asking(preflight_min_available_ram_gb=0, preflight_min_free_vram_gb=0)
    poor = replace(HEALTHY, available_memory_bytes=1, gpu=replace(GPU, free_bytes=1.0))
    assert NODE_CHECKS.run(lenient(poor)) == ()


def test_a_cpu_sort_is_not_asked_about_gpus() -> None:
    on_cpu = replace(HEALTHY, gpu=None, probe=None)
    assert NODE_CHECKS.run(on_cpu) == ()


def test_strict_mode_turns_a_warning_of_the_machine_into_the_runs_own_end() -> None:
    (found,) = NODE_CHECKS.run(replace(HEALTHY, open_files=10), strict=True)
    assert found.level is FindingLevel.FAIL
    assert found.error is not None
    assert found.error.code is FailureCode.INVALID_CONFIGURATION


def test_a_limit_of_the_attempts_own_is_judged_by_its_projection_alone() -> None:
    own = wanting(memory_limit_bytes=3 * GIB, scratch_limit_bytes=10 * GIB, memory_bytes=3 * GIB)
    pod = both(own, having(available_memory_bytes=3 * GIB, free_scratch_bytes=15 * GIB))
    small = wanting(scratch_bytes=8 * GIB)
    assert NODE_CHECKS.run(both(pod, small)(HEALTHY)) == ()
    (found,) = NODE_CHECKS.run(both(pod, small, wanting(memory_bytes=4 * GIB))(HEALTHY))
    assert found.code == "ram_projection"
    assert "maxMemory" in found.remediation
