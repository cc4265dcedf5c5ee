"""Generate the gRPC stubs from ``protos/`` into ``services/spikefleet/api``; never committed.

Runs as hatchling's build hook (wheel and editable install) and as a script:
``python hatch_build.py``.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from grpc_tools import protoc
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
OUT = ROOT / "services"


def _plugin(name: str) -> str:
    """Find a protoc plugin beside this interpreter first: the venv need not be activated."""
    beside = Path(sysconfig.get_path("scripts")) / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is missing; install mypy-protobuf")
    return found


def generate() -> None:
    """Write the stubs and their ``.pyi`` for every proto; raise on any error."""
    protos = sorted((ROOT / "protos").rglob("*.proto"))
    # Made aside and swapped in file by file: a process that imports meanwhile finds whole files.
    with tempfile.TemporaryDirectory(dir=OUT) as aside:
        _run_protoc(Path(aside), protos)
        fresh = {path.relative_to(aside): path for path in Path(aside).rglob("*_pb2*")}
        for name, path in fresh.items():
            path.replace(OUT / name)
        for path in (OUT / "spikefleet" / "api").rglob("*_pb2*"):
            if path.relative_to(OUT) not in fresh and "__pycache__" not in path.parts:
                path.unlink()


def _run_protoc(out: Path, protos: list[Path]) -> None:
    arguments = [
        "protoc",
        *(
            f"--plugin={name}={_plugin(name)}"
            for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
        ),
        f"--proto_path={ROOT / 'protos'}",
        f"--proto_path={files('grpc_tools') / '_proto'}",
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet:{out}",
        *map(str, protos),
    ]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc failed; run `buf lint protos` for a readable reason")


class StubHook(BuildHookInterface[Any]):
    """Build hook: stubs exist before files are collected."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        generate()


if __name__ == "__main__":
    generate()
    sys.stdout.write("stubs written to services/spikefleet/api/v1\n")
