"""The checks of the machine that sorts. Each reads the facts and returns a finding, or nothing.

What would break every sort here fails, with the class that holds the lane; what may be enough or
not warns, because a guard stops what really runs out.
"""

from __future__ import annotations

import re

from spikefleet.core.config.execution import limit_bytes
from spikefleet.core.failures.errors import (
    DockerEnvironmentError,
    EnvironmentSortFailure,
    GpuFaultError,
    HDF5PluginMissingError,
    ModelLoadingError,
)
from spikefleet.core.findings.checks import Checks
from spikefleet.core.findings.finding import Finding, fail, warn
from spikefleet.core.findings.machine import MACHINE_CHECKS, MachineFacts, find_low
from spikefleet.core.guards.gpu_reader import GpuUnreadable
from spikefleet.core.text import format_gib
from spikefleet.infra.gpus import GpuIdentity
from spikefleet.runner.node_checks.facts import NodeFacts

NODE_CHECKS: Checks[NodeFacts] = Checks()
check = NODE_CHECKS.check

_OPEN_FILES = 4096
_PROCESSES = 256


def machine_facts(facts: NodeFacts) -> MachineFacts:
    """What this machine has, for the checks that every machine has to pass.

    A limit of the attempt's own was chosen by its projection and is judged by it alone: what a
    workstation should have left says nothing of it.
    """
    wanted = facts.wanted
    least_scratch = limit_bytes(wanted.execution, "preflight_min_free_inter_gb")
    least_memory = limit_bytes(wanted.execution, "preflight_min_available_ram_gb")
    return MachineFacts(
        sorter=facts.wanted.backend.name,
        scratch=facts.scratch,
        scratch_writable=facts.scratch_writable,
        free_scratch_bytes=facts.free_scratch_bytes,
        least_scratch_bytes=0.0 if wanted.scratch_limit_bytes else least_scratch,
        needed_scratch_bytes=facts.wanted.scratch_bytes,
        available_memory_bytes=facts.available_memory_bytes,
        least_memory_bytes=0.0 if wanted.memory_limit_bytes else least_memory,
        needed_memory_bytes=facts.wanted.memory_bytes,
    )


NODE_CHECKS.adopt(MACHINE_CHECKS, machine_facts)


@check("low_ephemeral")
def check_ephemeral(facts: NodeFacts) -> Finding | None:
    """The pod's own limit is below what will be written, whatever the disk has free."""
    limit, need = facts.wanted.scratch_limit_bytes, facts.wanted.scratch_bytes
    if not limit or need <= limit:
        return None
    return warn(
        "low_ephemeral",
        f"The sort is projected to write {format_gib(need)}, but this attempt's scratch is "
        f"limited to {format_gib(limit)}.",
    )


@check("sorter_dependency_missing")
def check_sorter_installed(facts: NodeFacts) -> Finding | None:
    """The sorter is not installed, or not all that its extra brings."""
    software, backend = facts.software, facts.wanted.backend
    gone = backend.distribution in software.missing
    if backend.distribution and (gone or software.unfound):
        what = "is not installed" if gone else "is recorded as installed but its files are gone"
        message = (
            f"{backend.distribution}, which {backend.title} needs, {what} on the machine that "
            f"sorts. Install spikefleet[{backend.extra}] there, or use the sorter's image."
        )
        return fail(
            "sorter_dependency_missing",
            ModelLoadingError(message, sorter=backend.name, module=backend.distribution),
        )
    if not software.missing:
        return None
    listed = ", ".join(software.missing)
    return warn(
        "sorter_dependency_missing",
        f"Not installed beside {backend.title}, although spikefleet[{backend.extra}] asks for it: "
        f"{listed}.",
    )


@check("spikeinterface_version_outside_tested_range")
def check_spikeinterface(facts: NodeFacts) -> Finding | None:
    """Another SpikeInterface than the one that was tested."""
    return _untested(facts, "spikeinterface", "spikeinterface_version_outside_tested_range")


@check("kilosort4_version_outside_tested_range")
def check_kilosort(facts: NodeFacts) -> Finding | None:
    """Another Kilosort 4 than the one that was tested."""
    return _untested(facts, "kilosort", "kilosort4_version_outside_tested_range")


@check("hdf5_plugin_missing")
def check_plugin(facts: NodeFacts) -> Finding | None:
    """The folder given for the vendor's HDF5 plugin is not there, or empty."""
    if not facts.lost_plugin_folder:
        return None
    message = f"The folder for HDF5 plugins, {facts.lost_plugin_folder}, holds none here."
    return fail(
        "hdf5_plugin_missing",
        HDF5PluginMissingError(message, configured_path=facts.lost_plugin_folder),
    )


@check("docker_image_digest_unverified")
def check_image_known(facts: NodeFacts) -> Finding | None:
    """A digest is required, and the digest of this image is not known."""
    asked = facts.wanted.execution.docker_image_expected_digest
    if not asked or facts.image_digest:
        return None
    return warn(
        "docker_image_digest_unverified",
        f"The image {asked} is asked for, and the digest of this one is not known.",
    )


@check("docker_image_digest_mismatch")
def check_image(facts: NodeFacts) -> Finding | None:
    """We run in another image than the one that is asked for."""
    asked = facts.wanted.execution.docker_image_expected_digest or ""
    if not asked or not facts.image_digest or _digest(asked) == _digest(facts.image_digest):
        return None
    error = DockerEnvironmentError(
        f"This image is {facts.image_digest}; {asked} was asked for.",
        reason="digest_mismatch",
        expected=asked,
        found=facts.image_digest,
    )
    return fail("docker_image_digest_mismatch", error)


@check("low_rlimit_nofile")
def check_open_files(facts: NodeFacts) -> Finding | None:
    """Few files may be open at once."""
    if facts.open_files is None or not 0 < facts.open_files < _OPEN_FILES:
        return None
    return warn("low_rlimit_nofile", f"Only {facts.open_files} files may be open at once.")


@check("low_rlimit_nproc")
def check_processes(facts: NodeFacts) -> Finding | None:
    """Few processes may run at once."""
    wanted = max(_PROCESSES, 4 * facts.wanted.execution.n_jobs)
    if facts.processes is None or not 0 < facts.processes < wanted:
        return None
    return warn(
        "low_rlimit_nproc", f"Only {facts.processes} processes may run; {wanted} are wanted."
    )


@check("gpu_device_not_present")
def check_gpu_present(facts: NodeFacts) -> Finding | None:
    """The attempt's GPU is not on this machine, or the driver lost it."""
    gpu = facts.gpu
    if not isinstance(gpu, GpuUnreadable) or not (gpu.is_absent or gpu.is_lost):
        return None
    if gpu.is_lost:
        fault = GpuFaultError(f"The driver has lost the GPU: {gpu.reason}.", fault="lost")
        return fail("gpu_device_not_present", fault)
    message = f"A GPU was asked for, but {gpu.reason}."
    return fail("gpu_device_not_present", EnvironmentSortFailure(message, reason="no_gpu"))


@check("vram_unknown")
def check_gpu_readable(facts: NodeFacts) -> Finding | None:
    """The driver's library does not answer; the GPU may still compute."""
    gpu = facts.gpu
    if not isinstance(gpu, GpuUnreadable) or gpu.is_absent or gpu.is_lost:
        return None
    return warn("vram_unknown", f"The GPU's memory cannot be read: {gpu.reason}.")


@check("low_vram")
def check_gpu_memory(facts: NodeFacts) -> Finding | None:
    """Little GPU memory is free, or too little even for a small computation."""
    if facts.probe is not None and facts.probe.out_of_memory:
        return warn("low_vram", f"The GPU has no memory to spare: {facts.probe.error}.")
    gpu = facts.gpu
    if not isinstance(gpu, GpuIdentity) or gpu.free_bytes is None:
        return None
    limit = max(
        limit_bytes(facts.wanted.execution, "preflight_min_free_vram_gb"),
        facts.wanted.gpu_memory_bytes,
    )
    return find_low(gpu.free_bytes, limit, "low_vram", "of GPU memory are free")


@check("gpu_ecc")
def check_gpu_errors(facts: NodeFacts) -> Finding | None:
    """The GPU's memory makes errors it cannot correct, or waits for repair."""
    gpu = facts.gpu
    if not isinstance(gpu, GpuIdentity):
        return None
    if gpu.uncorrected_errors or gpu.row_repairs == "failed":
        count = gpu.uncorrected_errors or 0
        error = GpuFaultError(
            f"GPU {gpu.uuid} counts {count} memory errors that it could not correct"
            f"{' and could not repair a row' if gpu.row_repairs == 'failed' else ''}.",
            fault="ecc",
            uncorrected_errors=count,
        )
        return fail("gpu_ecc", error)
    if gpu.row_repairs == "pending":
        return warn("gpu_ecc", f"Memory rows of GPU {gpu.uuid} wait for repair by a reset.")
    return None


@check("gpu_driver_too_old")
def check_driver(facts: NodeFacts) -> Finding | None:
    """The driver runs an older CUDA than torch was built for."""
    gpu, built_for = facts.gpu, _version(facts.software.torch_cuda)
    if not isinstance(gpu, GpuIdentity) or gpu.cuda_version is None or not built_for:
        return None
    if gpu.cuda_version >= built_for[:2]:
        return None
    told = ".".join(map(str, gpu.cuda_version))
    message = (
        f"Driver {gpu.driver_version} runs CUDA {told}; torch was built for "
        f"{facts.software.torch_cuda}."
    )
    if gpu.cuda_version[0] < built_for[0]:
        error = EnvironmentSortFailure(message, reason="driver_too_old", driver=gpu.driver_version)
        return fail("gpu_driver_too_old", error)
    return warn("gpu_driver_too_old", message)


@check("cuda_probe_failed")
def check_probe(facts: NodeFacts) -> Finding | None:
    """The GPU did not compute. That it was full is another finding: memory comes and goes."""
    probe = facts.probe
    if probe is None or not probe.error or probe.out_of_memory:
        return None
    error = EnvironmentSortFailure(
        f"A small computation on the GPU failed: {probe.error}.",
        reason="cuda_probe",
        torch=probe.torch,
        cuda=probe.cuda,
    )
    return fail("cuda_probe_failed", error)


def _untested(facts: NodeFacts, name: str, code: str) -> Finding | None:
    found, (low, high) = (
        facts.software.versions.get(name),
        facts.software.tested.get(name, ("", "")),
    )
    if not found or not _version(found):
        return None
    is_old = bool(low) and _version(found) < _version(low)
    if not is_old and not (high and _version(found) >= _version(high)):
        return None
    return warn(code, f"{name} {found} is installed; {low} up to (not with) {high} was tested.")


def _version(text: str) -> tuple[int, ...]:
    """The leading numbers of a version; () when it has none."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _digest(image: str) -> str:
    """The digest of an image reference, with or without its name."""
    return image.rpartition("@")[2].strip().lower()
