"""Builds images by their recipes with buildah and runs them with podman, where both are there.

What pip was told on this machine (a mirror, certificates) it is told in the build, too; an image
built for a test is not kept for anybody else.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_BASE = "python:3.11-slim-bookworm"
_BUILD_LIMIT_S = 1100
_START_LIMIT_S = 300


def _command(*words: str, limit_s: float) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=limit_s, cwd=ROOT
    )


def require_builder() -> None:
    """Skip unless images can be built and run here, and say what is missing."""
    for tool in ("buildah", "podman", "runc"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed; no image was built")
    if os.geteuid() != 0:
        pytest.skip("images are built as root only here; no image was built")
    if _command("buildah", "pull", "--policy", "missing", _BASE, limit_s=300).returncode != 0:
        pytest.skip(f"the base image {_BASE} cannot be had; no image was built")


def _as_on_this_machine() -> list[str]:
    """Options that hand pip's settings and the certificates of this machine to a build."""
    words = []
    for name, value in sorted(os.environ.items()):
        if name.startswith("PIP_"):
            words += ["--env", f"{name}={value}"]
            if value.startswith("/") and Path(value).exists():
                folder = value if Path(value).is_dir() else str(Path(value).parent)
                words += ["-v", f"{folder}:{folder}:ro"]
    return words


def build(image: str) -> str:
    """Build an image of images/; return its name. Layers of an earlier build are used again."""
    name = f"spikefleet-{image}:test"
    done = _command(
        "buildah", "bud", "--layers", "--isolation", "chroot", "--network", "host",
        *_as_on_this_machine(), "-f", f"images/{image}.Dockerfile", "-t", name, ".",
        limit_s=_BUILD_LIMIT_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return name


def run(
    name: str,
    *command: str,
    mounts: Mapping[Path, str] | None = None,
    **environment: str,
) -> "subprocess.CompletedProcess[str]":
    """Run a command in a container as a pod would: its own user, nothing writable but volumes.

    Without ``command`` the image's own. ``mounts`` are folders of this machine and where they are
    seen. No network: what an image needs is in it.
    """
    told = [word for key, value in environment.items() for word in ("--env", f"{key}={value}")]
    seen = [word for at, to in (mounts or {}).items() for word in ("-v", f"{at}:{to}")]
    return _command(
        "podman", "--runtime", "runc", "run", "--rm", "--read-only", "--tmpfs", "/tmp",
        "--network", "none", "--cap-drop", "all", "--security-opt", "no-new-privileges",
        "--ulimit", "nofile=1024:4096", "--ulimit", "nproc=1024:1024",
        *seen, *told, name, *command, limit_s=_START_LIMIT_S,
    )  # fmt: skip


def packed_bytes_of_the_last_layer(name: str, folder: Path) -> int:
    """The size of an image's last layer as a registry stores it."""
    done = _command("buildah", "push", name, f"oci:{folder}", limit_s=600)
    assert done.returncode == 0, done.stderr
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    manifest = json.loads(_blob(folder, index["manifests"][0]["digest"]))
    return int(manifest["layers"][-1]["size"])


def _blob(folder: Path, digest: str) -> str:
    kind, _, name = digest.partition(":")
    return (folder / "blobs" / kind / name).read_text(encoding="utf-8")
