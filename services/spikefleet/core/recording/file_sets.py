"""Which files on disk make up the recording a rig points at.

Decides the file set only; never opens a recording and imports no science, so that an acquisition
machine with the light client can use it.
"""

from __future__ import annotations

import glob
import re
from pathlib import Path

from spikefleet.core.failures.errors import InputMissingError

SPIKEGLX_SUFFIXES = (".bin", ".meta")
RAW_SUFFIXES = (".raw", ".bin", ".dat")
_SIDECAR_SUFFIX = ".json"
PROBE_FILE_NAME = "probe.json"
_SYSTEM_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")
_INTAN_HEADERS = ("info.rhd", "info.rhs")
_OPENEPHYS_HEADER = "structure.oebin"


def recording_files(path: Path) -> tuple[Path, tuple[Path, ...], str]:
    """Return ``(root, files, entry)`` of the recording at ``path``.

    ``files`` are absolute paths below ``root``, sorted; ``entry`` is what a reader opens, relative
    to ``root`` ("" means the folder itself). The system's own files (".DS_Store", "._name", ".git")
    are none of it. A folder contributes every file in it, a SpikeGLX
    or raw file its sidecar, an Intan header its ``.dat`` files, a Blackrock file those of its name,
    an Open Ephys header, its folder or its experiment's that folder and the settings above it, any
    other file only itself; a ``probe.json`` beside the last four comes along. An empty folder gives
    no files.

    Raises:
        InputMissingError: nothing is at ``path``.
    """
    path = path.expanduser().absolute()
    if (path / _OPENEPHYS_HEADER).is_file():
        return _openephys_files(path / _OPENEPHYS_HEADER)
    if _is_openephys_experiment(path):
        return _openephys_files(path)
    if path.is_dir():
        found = sorted(_files_in(path))
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
    if path.name == _OPENEPHYS_HEADER:
        return _openephys_files(path)
    return path.parent, _with_companions(path), path.name


def is_hidden(path: Path) -> bool:
    """Say whether a file is the system's own (".DS_Store", macOS's "._name")."""
    return path.name.startswith(".")


def is_in_hidden_folder(path: Path, root: Path) -> bool:
    """Say whether a file below ``root`` is in a folder such as ".git" or ".Trashes"."""
    return any(part.startswith(".") for part in path.relative_to(root).parent.parts)


def _files_in(folder: Path) -> list[Path]:
    """Return the files below a folder but for the system's own; Zarr's ".zarray" is none of it."""
    return [
        file
        for file in folder.rglob("*")
        if not file.name.startswith("._")
        and file.name not in _SYSTEM_FILES
        and not is_in_hidden_folder(file, folder)
        and file.is_file()
    ]


def visible_entries(folder: Path) -> list[Path]:
    """Return what is directly in a folder, sorted, without the system's own files."""
    return sorted(entry for entry in folder.iterdir() if not is_hidden(entry))


def _with_companions(path: Path) -> tuple[Path, ...]:
    """Return a single file with what it cannot be read without, and its ``probe.json``."""
    found = {path}
    if path.name in _INTAN_HEADERS:
        found.update(file for file in path.parent.glob("*.dat") if not is_hidden(file))
    if re.fullmatch(r"\.ns[1-6]", path.suffix.lower()):
        found.update(path.parent.glob(f"{glob.escape(path.stem)}.[nN][sS][1-6]"))
    probe = path.parent / PROBE_FILE_NAME
    if probe.is_file():
        found.add(probe)
    return tuple(sorted(found))


def _is_openephys_experiment(folder: Path) -> bool:
    """Say whether a folder is one experiment of a Record Node, whose settings are above it."""
    if not folder.name.startswith("experiment") or not folder.is_dir():
        return False
    return any((entry / _OPENEPHYS_HEADER).is_file() for entry in folder.iterdir())


def _openephys_files(entry: Path) -> tuple[Path, tuple[Path, ...], str]:
    """Return the files of a recording's header, or of an experiment, below its Record Node.

    The settings above name the probe.
    """
    folder = entry if entry.is_dir() else entry.parent
    found = set(_files_in(folder))
    experiment = folder if entry.is_dir() else folder.parent
    if not experiment.name.startswith("experiment"):
        return folder, tuple(sorted(found)), entry.name
    node = experiment.parent
    found.update(file for file in node.glob("settings*.xml") if not is_hidden(file))
    return node, tuple(sorted(found)), entry.relative_to(node).as_posix()
