"""Real limits of the kernel for tests: a memory cgroup, a small disk. Skips loudly without them."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

CGROUPS = Path("/sys/fs/cgroup")


@contextmanager
def small_disk(place: Path, size_mib: int) -> Iterator[Path]:
    """A file system of its own in ``place``: a loop-mounted image, else a tmpfs."""
    image, mount = place / "disk.img", place / "disk"
    mount.mkdir()
    with image.open("wb") as handle:
        handle.truncate(size_mib << 20)
    refused = _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image)) or _run(
        "mount", "-o", "loop", str(image), str(mount)
    )
    if refused:
        refused = _run("mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(mount))
    if refused:
        pytest.skip(f"no small disk can be mounted here: {refused}")
    try:
        yield mount
    finally:
        _run("umount", "-l", str(mount))


@contextmanager
def memory_cgroup(limit_bytes: int) -> Iterator[Path]:
    """A cgroup of this machine with a memory limit, of either version; its folder."""
    parent, limit = _own_memory_cgroup()
    folder = parent / f"spikefleet-test-{uuid4().hex[:12]}"
    try:
        folder.mkdir()
        (folder / limit).write_text(f"{limit_bytes}\n")
    except OSError as error:
        if folder.is_dir():
            folder.rmdir()
        pytest.skip(f"no memory cgroup can be made here: {error}")
    try:
        yield folder
    finally:
        folder.rmdir()


def _own_memory_cgroup() -> tuple[Path, str]:
    """Where a cgroup below our own can be made, and the name of its limit."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, inside = line.split(":", 2)
        if "memory" in controllers.split(","):
            return CGROUPS / "memory" / inside.strip("/"), "memory.limit_in_bytes"
    return CGROUPS, "memory.max"


def _run(*command: str) -> str:
    """Run a command; return what it complained of, or an empty string."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else (done.stderr.strip() or f"exit {done.returncode}")
