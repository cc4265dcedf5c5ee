"""HDF5 basics the MaxWell and NWB readers share: opening, telling formats apart, plugins.

Plugins are looked up through HDF5's own search path, never through the process environment, so one
recording's setting does not leak into the programs this process starts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py

from spikefleet.core.failures.errors import HDF5PluginMissingError
from spikefleet.core.recordings.edge import corrupt, reading
from spikefleet.core.recordings.plugin_folders import list_plugin_folders

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_USER_BLOCKS_BYTES = (0, 512, 1024, 2048, 4096)


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
        InputCorruptError: the file is empty, truncated or not HDF5.
    """
    with reading(path):
        if path.stat().st_size == 0:
            raise corrupt(path, "empty", "the file has no bytes.")
        try:
            return h5py.File(path, mode="r", locking=False)
        except OSError as error:
            if "locking flag" not in str(error):
                raise
        # A foreign reader in this process holds the file open with locking; HDF5 wants the same.
        return h5py.File(path, mode="r")


def add_plugin_path(hdf5_plugin_path: str | None) -> None:
    """Put the folders of ``hdf5_plugin_path`` (separated as in PATH) first in HDF5's search."""
    known = {h5py.h5pl.get(index) for index in range(h5py.h5pl.size())}
    for folder in reversed(list_plugin_folders(hdf5_plugin_path)):
        if folder.encode() not in known:
            h5py.h5pl.prepend(folder.encode())


def require_filters(dataset: Any, path: Path, hdf5_plugin_path: str | None) -> None:
    """Check that every compression filter of ``dataset`` can be undone on this machine.

    Asks HDF5 for the filters by number, because the text of a failed read differs between HDF5
    versions and says nothing of a plugin in the newest.

    Raises:
        HDF5PluginMissingError: a filter is missing; names the folders that were searched.
    """
    creation = dataset.id.get_create_plist()
    for index in range(creation.get_nfilters()):
        code = creation.get_filter(index)[0]
        if h5py.h5z.filter_avail(code):
            continue
        searched = os.pathsep.join(
            h5py.h5pl.get(index).decode() for index in range(h5py.h5pl.size())
        )
        raise HDF5PluginMissingError(
            f"{path.name} is compressed with HDF5 filter {code}, whose plugin is not in "
            f"{searched}. Install the vendor's plugin there or set hdf5_plugin_path.",
            configured_path=hdf5_plugin_path or searched,
            filter=int(code),
            path=str(path),
        )
