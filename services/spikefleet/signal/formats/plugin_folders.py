"""How a list of HDF5 plugin folders is written: as in PATH. The one reader of such a list."""

from __future__ import annotations

import os


def list_plugin_folders(text: str | None) -> tuple[str, ...]:
    """Return the folders of ``hdf5_plugin_path`` or HDF5_PLUGIN_PATH, in order, without empty ones.

    They are separated as in PATH (":" on Linux); white space around a folder is not part of it.
    """
    return tuple(part.strip() for part in (text or "").split(os.pathsep) if part.strip())
