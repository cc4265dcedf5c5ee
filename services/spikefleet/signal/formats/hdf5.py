"""HDF5 basics the MaxWell and NWB readers share: opening, telling formats apart, plugins.

Plugins are looked up through HDF5's own search path, never through the process environment, so one
recording's setting does not leak into the programs this process starts.
"""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spikefleet.core.failures.errors import HDF5PluginMissingError, SpikeSortingClassifiedError
from spikefleet.signal.formats.hdf5_links import require_self_contained
from spikefleet.signal.formats.header_fields import sample_type
from spikefleet.signal.formats.plugin_folders import list_plugin_folders
from spikefleet.signal.formats.reader_errors import corrupt, reading

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_USER_BLOCKS_BYTES = (0, 512, 1024, 2048, 4096)
_MOST_TABLE_BYTES = 256 << 20
_MOST_CHUNK_BYTES = 512 << 20
# Deflate packs at most 1032 to 1, and no codec that is used for signals comes near this.
_MOST_RATIO = 20_000
# Filters without which an acquisition system's own files cannot be read: the facility has them.
_VENDOR_FILTERS: Mapping[int, str] = MappingProxyType({401: "MaxWell"})
# Filters that a file's writer chooses, by their registered numbers.
_FILTER_NAMES: Mapping[int, str] = MappingProxyType(
    {
        4: "szip",
        305: "LZO",
        307: "bzip2",
        32000: "LZF",
        32001: "Blosc",
        32004: "LZ4",
        32008: "bitshuffle",
        32013: "ZFP",
        32015: "Zstandard",
        32026: "Blosc2",
    }
)


def is_hdf5(path: Path) -> bool:
    """Say whether a file carries HDF5's signature, whatever its name."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        for offset_bytes in _USER_BLOCKS_BYTES:
            file.seek(offset_bytes)
            if file.read(len(_SIGNATURE)) == _SIGNATURE:
                return True
    return False


def open_hdf5(path: Path) -> Any:
    """Open an HDF5 file read-only, without taking a lock on it.

    Raises:
        InputMissingError: the file is not there.
        InputCorruptError: the file is empty, truncated or not HDF5; ``still_written``: a program
            holds it open for writing; ``unsafe``: something in it is in another file.
    """
    with reading(path):
        if path.stat().st_size == 0:
            raise corrupt(path, "empty", "the file has no bytes.")
        require_not_written(path)
        try:
            file = h5py.File(path, mode="r", locking=False)
        except OSError as error:
            if "locking flag" not in str(error):
                raise
            # A foreign reader in this process holds it open with locking; HDF5 wants the same.
            file = h5py.File(path, mode="r")
        try:
            require_self_contained(file, path)
        except SpikeSortingClassifiedError:
            file.close()
            raise
        return file


def require_not_written(path: Path) -> None:
    """Refuse a file that a program holds open for writing: HDF5's writers lock theirs.

    Where the file system knows no locks, nothing is refused.
    """
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise corrupt(
                path, "still_written", "another program still holds it open for writing."
            ) from error
        except OSError:
            return
        fcntl.flock(file, fcntl.LOCK_UN)


def dataset_at(file: Any, name: str, path: Path) -> Any:
    """Return a dataset by its path in the file.

    Raises:
        InputCorruptError: it is not there, or is not a dataset.
    """
    with reading(path):
        found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise corrupt(path, "unreadable", f"it has no dataset {name!r}.")
    return found


def read_whole(dataset: Any, path: Path) -> NDArray[Any]:
    """Return all of a small dataset (a table, a list of channels); its size is asked first.

    Raises:
        InputCorruptError: ``absurd``: it would fill more than 256 MB; ``unreadable``.
    """
    n_values, type_ = int(dataset.size or 0), dataset.dtype
    if n_values * max(1, type_.itemsize) > _MOST_TABLE_BYTES:
        raise corrupt(
            path, "absurd", f"{dataset.name} would fill {n_values * type_.itemsize} bytes."
        )
    _require_chunks(dataset, path)
    require_filters(dataset, path, None)
    with reading(path):
        return np.asarray(dataset[()])


def require_samples(dataset: Any, path: Path, *, n_dimensions: tuple[int, ...] = (2,)) -> None:
    """Check that a dataset can hold samples before any is read: shape, type, size of its pieces.

    Raises:
        InputCorruptError: ``empty``; ``unreadable``: other dimensions, or no numbers; ``absurd``:
            it claims far more than the file stores, or is stored in pieces too large to read.
    """
    name = dataset.name
    if dataset.shape is None or len(dataset.shape) not in n_dimensions:
        raise corrupt(path, "unreadable", f"{name} has the shape {dataset.shape}.")
    sample_type(dataset.dtype, f"the type of {name}", path)
    if not dataset.size:
        raise corrupt(path, "empty", f"{name} holds no samples.")
    _require_chunks(dataset, path)
    if _missing_filter(dataset) is not None:
        return  # nothing can be unpacked; ``require_filters`` says what is missing
    with reading(path):
        stored_bytes = int(dataset.id.get_storage_size())
    claimed_bytes = int(dataset.size) * int(dataset.dtype.itemsize)
    if not stored_bytes:
        raise corrupt(path, "truncated", f"none of the samples of {name} were stored.")
    if claimed_bytes > _MOST_RATIO * stored_bytes:
        raise corrupt(
            path,
            "absurd",
            f"{name} claims {claimed_bytes} bytes of samples, {stored_bytes} are there.",
        )


def _require_chunks(dataset: Any, path: Path) -> None:
    """A compressed piece is unpacked whole, however little of it is asked for."""
    if dataset.chunks is None:
        return
    chunk_bytes = math.prod(dataset.chunks) * max(1, int(dataset.dtype.itemsize))
    whole_bytes = int(dataset.size or 0) * max(1, int(dataset.dtype.itemsize))
    if chunk_bytes > _MOST_CHUNK_BYTES and whole_bytes > _MOST_CHUNK_BYTES:
        raise corrupt(
            path, "absurd", f"{dataset.name} is stored in pieces of {chunk_bytes >> 20} MB each."
        )


def add_plugin_path(hdf5_plugin_path: str | None) -> None:
    """Put the folders of ``hdf5_plugin_path`` (separated as in PATH) first in HDF5's search."""
    known = {h5py.h5pl.get(index) for index in range(h5py.h5pl.size())}
    for folder in reversed(list_plugin_folders(hdf5_plugin_path)):
        if folder.encode() not in known:
            h5py.h5pl.prepend(folder.encode())


def _missing_filter(dataset: Any) -> int | None:
    """The number of the first filter of ``dataset`` that this machine lacks."""
    creation = dataset.id.get_create_plist()
    codes = [int(creation.get_filter(index)[0]) for index in range(creation.get_nfilters())]
    return next((code for code in codes if not h5py.h5z.filter_avail(code)), None)


def require_filters(dataset: Any, path: Path, hdf5_plugin_path: str | None) -> None:
    """Check that every compression filter of ``dataset`` can be undone on this machine.

    Asks HDF5 for the filters by number, because the text of a failed read differs between HDF5
    versions and says nothing of a plugin in the newest.

    Raises:
        HDF5PluginMissingError: the filter of a vendor's recordings is missing, which the operator
            installs; names the folders that were searched.
        InputCorruptError: ``filter``: any other one, which whoever wrote the file chose.
    """
    code = _missing_filter(dataset)
    if code is None:
        return
    if code in _VENDOR_FILTERS:
        searched = os.pathsep.join(
            h5py.h5pl.get(index).decode() for index in range(h5py.h5pl.size())
        )
        raise HDF5PluginMissingError(
            f"{path.name} is compressed with HDF5 filter {code} ({_VENDOR_FILTERS[code]}), whose "
            f"plugin is not in {searched}. Install the vendor's plugin there or set "
            "HDF5_PLUGIN_PATH.",
            configured_path=hdf5_plugin_path or searched,
            filter=code,
            path=str(path),
        )
    name = _FILTER_NAMES.get(code, "of no registered name")
    raise corrupt(
        path,
        "filter",
        f"{dataset.name} is compressed with HDF5 filter {code} ({name}), which is not installed "
        "here.",
    )
