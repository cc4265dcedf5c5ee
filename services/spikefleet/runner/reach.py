"""What the sorter's child may reach: its staged recording to read, its own folders to write.

Light on purpose: the child applies it before it imports anything that reads a recording.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from spikefleet.core.attempts import AttemptSpec, InputFile, RunFolder
from spikefleet.core.files import digest_document
from spikefleet.infra.system.confinement import SandboxPolicy
from spikefleet.signal.preparing.prepared_place import PreparedCopies, PreparedPlace

_KERNELS = "NUMBA_CACHE_DIR"


def child_policy(folder: RunFolder, spec: AttemptSpec) -> SandboxPolicy:
    """Return the policy of one sort. Staged files are named where their links lead.

    The attempt's other documents (its lease, outcome, heartbeat) are the parent's alone.
    """
    inputs = Path(os.path.realpath(folder.inputs))
    staged = {os.path.realpath(inputs / entry.path) for entry in spec.inputs}
    plugins = str((spec.config.get("recording") or {}).get("hdf5_plugin_path") or "")
    return SandboxPolicy(
        readable=(
            str(folder.spec),
            str(folder.started),
            str(inputs),
            *sorted(staged),
            *(path for path in plugins.split(os.pathsep) if path),
        ),
        writable=(
            str(folder.result),
            str(folder.sorter),
            str(folder.child_own),
            str(folder.child_scratch),
            str(prepared_place(folder, spec).root),
        ),
        programs=True,
    )


def child_environment(
    folder: RunFolder, environment: Mapping[str, str] | None
) -> dict[str, str] | None:
    """Return the child's environment: the given one, with home and temporary files in its scratch.

    Compiled kernels are copied in from where trusted processes keep them, so that a child reuses
    them and can plant none for the next. None stays None.
    """
    if environment is None:
        return None
    scratch = folder.child_scratch
    scratch.mkdir(parents=True, exist_ok=True)
    kernels, known = scratch / "numba", environment.get(_KERNELS)
    if known and Path(known).is_dir() and not kernels.exists():
        shutil.copytree(known, kernels)
    own = {name: str(scratch) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "MPLCONFIGDIR")}
    return {**environment, **own, _KERNELS: str(kernels)}


def make_room(spec: AttemptSpec) -> None:
    """Remove other recordings' unused prepared copies where the disk is short for this one's.

    The child may not: it reaches its own recording's only. A copy is about as large as the samples.
    """
    if not spec.prepared_folder:
        return
    copies = PreparedCopies(Path(spec.prepared_folder))
    copies.root.mkdir(parents=True, exist_ok=True)
    copies.make_room(sum(entry.size_bytes for entry in spec.inputs))


def prepared_place(folder: RunFolder, spec: AttemptSpec) -> PreparedPlace:
    """Where this recording's prepared copies are kept."""
    if spec.prepared_folder:
        return PreparedCopies(Path(spec.prepared_folder)).place(content_digest(spec))
    return PreparedPlace(folder.root / "prepared")


def content_digest(spec: AttemptSpec) -> str:
    """Name the bytes and the stream that are opened, wherever they were staged.

    A file in place is not read back before the sort, so that its time counts as well.
    """
    parts = [part.path for part in spec.parts]
    files = [_identity(file) for file in spec.inputs]
    return digest_document([spec.recording, spec.stream, parts, sorted(files)])


def _identity(file: InputFile) -> list[str]:
    known = [file.path, str(file.size_bytes), file.sha256]
    if file.in_place or not file.sha256:
        status = Path(file.source).stat()
        known += [os.path.realpath(file.source), str(status.st_size), str(status.st_mtime_ns)]
    return known
