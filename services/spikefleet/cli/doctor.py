"""``spikefleet doctor``: is this machine fit, and if not, what to do about it.

It looks with the eyes of an attempt: the same facts and the same checks as on the machine that
sorts. No sorter is imported and nothing is written; a GPU is asked for a small computation.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from spikefleet.cli.connection import client_of
from spikefleet.cli.options import (
    ExitCode,
    address_option,
    given_ca_file,
    output_option,
    settings_from,
)
from spikefleet.cli.printing import Output, next_command, table
from spikefleet.cli.problems import NOT_REACHED
from spikefleet.core.findings.finding import Finding
from spikefleet.core.sorters.catalogue import BACKENDS, backend_of
from spikefleet.core.text import format_size
from spikefleet.deploy.machine import look_at_machine
from spikefleet.deploy.settings import Settings, hdf5_plugin_path, image_digest
from spikefleet.infra.rpc.addresses import ServiceAddress
from spikefleet.infra.rpc.errors import ServiceError, ServiceUnreachable
from spikefleet.infra.system.confinement import missing_layers

if TYPE_CHECKING:
    from spikefleet.runner.node_checks.facts import NodeFacts

_MARKS = {"ok": ("ok", "green"), "warn": ("warn", "yellow"), "fail": ("fail", "bold red")}
_GPU_CODES = frozenset(
    {
        "gpu_device_not_present",
        "vram_unknown",
        "low_vram",
        "gpu_ecc",
        "gpu_driver_too_old",
        "cuda_probe_failed",
    }
)
_DISK_CODES = frozenset({"intermediate_readonly", "low_disk_inter"})
_MEMORY_CODES = frozenset({"ram_unknown", "low_ram"})
_LIMIT_CODES = frozenset({"low_rlimit_nofile", "low_rlimit_nproc"})
_SORTER_CODES = frozenset(
    {
        "sorter_dependency_missing",
        "spikeinterface_version_outside_tested_range",
        "kilosort4_version_outside_tested_range",
    }
)
_PLUGIN_CODES = frozenset({"hdf5_plugin_missing"})
_RELEASE = ", then release the hold"
_ELSEWHERE = "Or name another folder with --data."
_START = "Start it with: spikefleet serve"
_NO_CUDA = "Install a CUDA build of torch, or serve with --gpu-slots 0."


@dataclass(frozen=True)
class Diagnosis:
    """One thing looked at. ``level`` is ok, warn or fail; ``next_step`` is empty when ok."""

    level: str
    name: str
    value: str
    next_step: str = ""


@click.command()
@click.option(
    "--data",
    "data_dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Data folder of the service.",
)
@address_option
@output_option
@click.pass_context
def doctor(context: click.Context, data_dir: Path | None, address: str | None, output: str) -> None:
    """Look at this machine: Python, sorters, GPU, memory, disk. Ends 1 when it cannot sort."""
    settings = settings_from(data_dir=data_dir, address=address, ca_file=given_ca_file())
    found = list(examine(settings))
    made = table("", "what", "found", "next step")
    for entry in found:
        made.add_row(Text(*_MARKS[entry.level]), entry.name, entry.value, entry.next_step)
    healthy = all(entry.level != "fail" for entry in found)
    document = {"healthy": healthy, "checks": [asdict(entry) for entry in found]}
    serves = any(entry.name == "service" and entry.level == "ok" for entry in found)
    then = "submit RECORDING --watch" if serves else "serve"
    steps = [next_command(f"spikefleet {then}")] if healthy else []
    Output(output).emit(document, made, *steps)
    context.exit(ExitCode.DONE if healthy else ExitCode.RUN_FAILED)


def examine(settings: Settings) -> Iterator[Diagnosis]:
    """Look at everything, in the order a person would ask."""
    yield Diagnosis("ok", "python", f"{platform.python_version()} on {platform.machine()}")
    yield Diagnosis("ok", "spikefleet", version("spikefleet"))
    try:
        yield from _machine(settings)
    except ImportError as error:  # an install that only submits lacks what a sort is watched with
        step = "To sort here: pip install 'spikefleet[embedded]'. To submit, nothing is missing."
        yield Diagnosis("warn", "sorting", f"not installed ({error})", step)
    yield _confinement()
    yield Diagnosis("ok", "image", image_digest() or "no digest is known")
    yield _service(settings)


def _machine(settings: Settings) -> Iterator[Diagnosis]:
    """What an attempt would see here, and what its checks say of it."""
    from spikefleet.runner.node_checks.checks import NODE_CHECKS  # noqa: PLC0415
    from spikefleet.runner.node_checks.facts import (  # noqa: PLC0415
        Given,
        NodeFacts,
        Wanted,
        gather_facts,
        read_software,
    )

    for info in BACKENDS.values():
        seen = NodeFacts(Wanted(info), read_software(info))
        yield _sorter(seen, NODE_CHECKS.run(seen))
    given = Given(hdf5_plugin_path=hdf5_plugin_path())
    # An HDF5 recording: a plugin folder that is not there matters to some.
    wanted = Wanted(backend_of(""), entry="recording.h5")
    gpus = look_at_machine().gpu_ids
    for uuid in gpus:
        seen = gather_facts(
            replace(wanted, gpu=True), settings.data_dir, replace(given, gpu_ids=(uuid,))
        )
        yield _gpu(seen, NODE_CHECKS.run(seen))
    if not gpus:
        yield _no_gpu()
    seen = gather_facts(wanted, settings.data_dir, given)
    findings = NODE_CHECKS.run(seen)
    yield _cores()
    yield _row("memory", f"{_size(seen.available_memory_bytes)} available", findings, _MEMORY_CODES)
    free = f"{_size(seen.free_scratch_bytes)} free for {settings.data_dir}"
    free += "" if settings.data_dir.exists() else ", which does not exist yet"
    disk = _row("disk", free, findings, _DISK_CODES, _ELSEWHERE)
    if disk.level != "ok" and seen.free_scratch_bytes is not None:
        # What is short of space is one disk of perhaps several.
        disk = replace(disk, value=f"{disk.value} ({free})")
    yield disk
    limits = f"{_count(seen.open_files)} open files, {_count(seen.processes)} processes"
    yield _row("limits", limits, findings, _LIMIT_CODES)
    told = given.hdf5_plugin_path or "HDF5_PLUGIN_PATH is not set; compressed Maxwell needs it"
    plugin = _row("hdf5 plugin", told, findings, _PLUGIN_CODES)
    # Most recordings need no plugin: this machine can sort them.
    yield plugin if plugin.level == "ok" else replace(plugin, level="warn")


def _confinement() -> Diagnosis:
    """Whether what opens a recording can be kept from everything else here."""
    missing = missing_layers()
    if not missing:
        return Diagnosis("ok", "confinement", "readers and sorters reach their recording only")
    step = "Sort recordings of people you trust only, or repair this."
    return Diagnosis("warn", "confinement", "; ".join(missing), step)


def _row(
    name: str,
    value: str,
    findings: Iterable[Finding],
    codes: frozenset[str],
    also: str = "",
) -> Diagnosis:
    """One thing looked at, with the worst that the checks of ``codes`` say of it."""
    worst = next((finding for finding in findings if finding.code in codes), None)
    if worst is None:
        return Diagnosis("ok", name, value)
    # There is no lane here that could be on hold.
    step = worst.remediation.replace(_RELEASE, "")
    return Diagnosis(str(worst.level), name, worst.message, f"{step} {also}".strip())


def _sorter(seen: NodeFacts, findings: Iterable[Finding]) -> Diagnosis:
    """A sorter that is not here is not a fault of a machine that may have others."""
    info, versions = seen.wanted.backend, seen.software.versions
    if info.distribution not in versions:
        step = f"To sort with it here: pip install 'spikefleet[{info.extra}]'."
        return Diagnosis("warn", info.name, "not installed", step)
    torch = f", torch {versions['torch']}" if "torch" in versions else ""
    told = f"{info.distribution} {versions[info.distribution]}{torch}, installed (not started)"
    return _row(info.name, told, findings, _SORTER_CODES)


def _gpu(seen: NodeFacts, findings: Iterable[Finding]) -> Diagnosis:
    known = seen.to_json().get("gpu", {})
    told = (
        f"{known.get('model')}, driver {known.get('driver')}, {_size(known.get('free_bytes'))} free"
    )
    also = "" if seen.software.torch_cuda else _NO_CUDA
    return _row("gpu", told, findings, _GPU_CODES, also)


def _no_gpu() -> Diagnosis:
    if shutil.which("nvidia-smi") is None:
        return Diagnosis("ok", "gpu", "none; sorters run on the CPU")
    step = "Reboot or reinstall the NVIDIA driver; `nvidia-smi` must answer."
    return Diagnosis("warn", "gpu", "nvidia-smi is here but shows no GPU", step)


def _cores() -> Diagnosis:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        text = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii")
    except OSError:
        text = ""
    quota, _, period = text.strip().partition(" ")
    limit = f", limited to {int(quota) / int(period):.1f}" if quota.isdigit() else ""
    return Diagnosis("ok", "cores", f"{cores}{limit}")


def _size(count: float | None) -> str:
    return "an unknown amount" if count is None else format_size(count)


def _count(limit: int | None) -> str:
    return "any number of" if limit is None else f"{limit:,}".replace(",", " ")


def _service(settings: Settings) -> Diagnosis:
    address = settings.address
    place = ServiceAddress.parse(address)
    try:
        socket.create_connection((place.host, place.port), timeout=1.0).close()
        with client_of(settings, patience_s=0.0) as client:
            client.list(page_size=1)
    except (OSError, ValueError, ServiceUnreachable):
        return Diagnosis("warn", "service", f"none answers at {address}", _START)
    except ServiceError as error:
        if error.reason in NOT_REACHED:
            return Diagnosis("warn", "service", error.message.rstrip("."), error.next_step)
        step = "Stop what listens there, or name another address (--address, SPIKEFLEET_ADDRESS)."
        return Diagnosis("warn", "service", f"what answers at {address} is not spikefleet", step)
    return Diagnosis("ok", "service", f"answers at {address}")
