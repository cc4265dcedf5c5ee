"""Which files an upload may announce: how many, how long, and under which names."""

from __future__ import annotations

from collections.abc import Sequence

from spikefleet.core.file_names import UnsafeNameError, check_names
from spikefleet.core.submissions import ManifestFile
from spikefleet.infra.rpc.bounds import MOST_FILES
from spikefleet.infra.rpc.errors import RpcProblem

_LARGEST_FILE_BYTES = 1 << 62
_LONGEST_PATH_BYTES = 800  # a key of S3 has 1024, some of them before the path


def check_files(files: Sequence[ManifestFile], entry: str) -> None:
    """Refuse names that leave a folder or meet each other. Raises RpcProblem."""
    if not files or len(files) > MOST_FILES:
        raise RpcProblem(
            "INVALID_ARGUMENT",
            f"an upload has 1 to {MOST_FILES} files, not {len(files)}",
            field="files",
        )
    try:
        check_names(file.path for file in files)
    except UnsafeNameError as error:
        raise RpcProblem("INVALID_ARGUMENT", str(error), field="files.path") from error
    long = next((file.path for file in files if len(file.path.encode()) > _LONGEST_PATH_BYTES), "")
    if long:
        raise RpcProblem(
            "INVALID_ARGUMENT",
            f"{long[:200]!r} is longer than the {_LONGEST_PATH_BYTES} bytes of an uploaded path",
            field="files.path",
        )
    if entry and not any(f.path == entry or f.path.startswith(f"{entry}/") for f in files):
        raise RpcProblem("INVALID_ARGUMENT", f"no file is at {entry!r}", field="entry")
    if any(not 0 <= file.size_bytes <= _LARGEST_FILE_BYTES for file in files):
        raise RpcProblem("INVALID_ARGUMENT", "no file has such a size", field="files.size_bytes")
