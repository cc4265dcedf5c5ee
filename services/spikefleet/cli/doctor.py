"""``spikefleet doctor``: is this machine fit, and if not, what to do about it.

Looks without touching: no sorter is imported, no GPU is opened, nothing is written.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
from rich.text import Text

from spikefleet.cli.options import ExitCode, output_option, settings_from
from spikefleet.cli.printing import Output, bytes_text, table
from spikefleet.core.backends.catalogue import BACKENDS
from spikefleet.deploy.settings import Settings, base_environment

LOW_DISK_BYTES = 50e9
NO_DISK_BYTES = 1e9
LOW_MEMORY_BYTES = 8e9
_MARKS = {"ok": ("ok", "green"), "warn": ("warn", "yellow"), "fail": ("fail", "bold red")}


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
@output_option
@click.pass_context
def doctor(context: click.Context, data_dir: Path | None, output: str) -> None:
    """Look at this machine: Python, sorters, GPU, memory, disk. Ends 1 when it cannot sort."""
    settings = settings_from(data_dir=data_dir)
    found = list(examine(settings))
    made = table("", "what", "found", "next step")
    for entry in found:
        made.add_row(Text(*_MARKS[entry.level]), entry.name, entry.value, entry.next_step)
    healthy = all(entry.level != "fail" for entry in found)
    document = {"healthy": healthy, "checks": [asdict(entry) for entry in found]}
    Output(output).emit(document, made)
    context.exit(ExitCode.DONE if healthy else ExitCode.RUN_FAILED)


def examine(settings: Settings) -> Iterator[Diagnosis]:
    """Look at everything, in the order a person would ask."""
    yield Diagnosis("ok", "python", f"{platform.python_version()} on {platform.machine()}")
    yield Diagnosis("ok", "spikefleet", version("spikefleet"))
    yield from _sorters()
    yield _gpu()
    yield _cpus()
    yield _memory()
    yield _disk(settings.data_dir)
    yield _hdf5_plugin()
    yield _service(settings.address)


def _installed(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _sorters() -> Iterator[Diagnosis]:
    for info in BACKENDS.values():
        found = _installed(info.distribution)
        if found is None:
            step = f"To sort with it here: pip install 'spikefleet[{info.extra}]'."
            yield Diagnosis("warn", info.name, "not installed", step)
        else:
            yield Diagnosis("ok", info.name, f"{info.distribution} {found}")
    torch = _installed("torch")
    if torch is not None:
        yield Diagnosis("ok", "torch", torch)


def _gpu() -> Diagnosis:
    """Ask the driver's own tool; opening CUDA from here would cost seconds and GPU memory."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Diagnosis("ok", "gpu", "none; sorters run on the CPU")
    query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            [tool, *query], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        done = None
    if done is None or done.returncode != 0:
        step = "Reboot or reinstall the NVIDIA driver; `nvidia-smi` must answer."
        return Diagnosis("warn", "gpu", "nvidia-smi is here but does not answer", step)
    cards = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if (_installed("torch") or "").endswith("+cpu"):
        step = "Install a CUDA build of torch to use it."
        return Diagnosis("warn", "gpu", f"{'; '.join(cards)}, but torch is a CPU build", step)
    return Diagnosis("ok", "gpu", "; ".join(cards) or "none visible")


def _cgroup(name: str) -> str:
    try:
        return (Path("/sys/fs/cgroup") / name).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _cpus() -> Diagnosis:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota, _, period = _cgroup("cpu.max").partition(" ")
    limit = f", limited to {int(quota) / int(period):.1f}" if quota.isdigit() else ""
    return Diagnosis("ok", "cores", f"{cores}{limit}")


def _memory() -> Diagnosis:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _cgroup("memory.max")
    usable = min(total, int(limit)) if limit.isdigit() else total
    text = bytes_text(usable) + (" (container's limit)" if usable < total else "")
    if usable < LOW_MEMORY_BYTES:
        return Diagnosis("warn", "memory", text, "Give it 8 GB or more for high-density arrays.")
    return Diagnosis("ok", "memory", text)


def _disk(data_dir: Path) -> Diagnosis:
    folder = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    text = f"{bytes_text(free)} free for {data_dir}"
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        step = f"Make {folder} writable, or name another folder with --data."
        return Diagnosis("fail", "disk", f"{folder} cannot be written", step)
    if free < NO_DISK_BYTES:
        return Diagnosis("fail", "disk", text, "Free space, or name another folder with --data.")
    if free < LOW_DISK_BYTES:
        step = "A sort needs about twice the recording; free space before large ones."
        return Diagnosis("warn", "disk", text, step)
    return Diagnosis("ok", "disk", text)


def _hdf5_plugin() -> Diagnosis:
    """Maxwell's compressed recordings need the vendor's plugin; nothing else does."""
    configured = base_environment().get("HDF5_PLUGIN_PATH", "")
    if not configured:
        text = "HDF5_PLUGIN_PATH is not set; compressed Maxwell recordings would need it"
        return Diagnosis("ok", "hdf5 plugin", text)
    folders = [Path(part) for part in configured.split(os.pathsep) if part]
    if not any(folder.is_dir() and any(folder.iterdir()) for folder in folders):
        step = "Point it at the folder with the vendor's libcompression, or unset it."
        return Diagnosis("warn", "hdf5 plugin", f"{configured} holds nothing", step)
    return Diagnosis("ok", "hdf5 plugin", configured)


def _service(address: str) -> Diagnosis:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1.0).close()
    except (OSError, ValueError):
        return Diagnosis("ok", "service", f"none answers at {address} right now")
    return Diagnosis("ok", "service", f"something listens at {address}")
