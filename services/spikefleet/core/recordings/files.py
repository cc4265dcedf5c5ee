"""Which files on disk make up the recording a rig points at.

Decides the file set only; never opens a recording and imports no science, so that an acquisition
machine with the light client can use it.
"""

from __future__ import annotations

from pathlib import Path

from spikefleet.core.failures.errors import InputMissingError

SPIKEGLX_SUFFIXES = (".bin", ".meta")
RAW_SUFFIXES = (".raw", ".bin", ".dat")
_SIDECAR_SUFFIX = ".json"


def recording_files(path: Path) -> tuple[Path, tuple[Path, ...], str]:
    """Return ``(root, files, entry)`` of the recording at ``path``.

    ``files`` are absolute paths below ``root``, sorted; ``entry`` is what a reader opens, relative
    to ``root`` ("" means the folder itself). A folder contributes every file in it, a SpikeGLX
    or raw file its sidecar, any other file only itself. An empty folder gives no files.

    Raises:
        InputMissingError: nothing is at ``path``.
    """
    path = path.expanduser().absolute()
    if path.is_dir():
        found = sorted(entry for entry in path.rglob("*") if entry.is_file())
        return path, tuple(found), ""
    if not path.is_file():
        raise InputMissingError(
            f"There is no file or folder at {path}. Check the path and the mount.", path=str(path)
        )
    if path.suffix in (*RAW_SUFFIXES, _SIDECAR_SUFFIX) and not path.with_suffix(".meta").is_file():
        samples = next(
            (file for suffix in RAW_SUFFIXES if (file := path.with_suffix(suffix)).is_file()), None
        )
        sidecar = path.with_suffix(_SIDECAR_SUFFIX)
        if samples is not None and sidecar.is_file():
            return path.parent, (sidecar, samples), samples.name
    if path.suffix in SPIKEGLX_SUFFIXES:
        pair = tuple(
            path.with_suffix(suffix)
            for suffix in SPIKEGLX_SUFFIXES
            if path.with_suffix(suffix).is_file()
        )
        return path.parent, pair, pair[0].name
    return path.parent, (path,), path.name
