"""An NWB file's groups and arrays, the same whether it is on HDF5 or on Zarr.

Reads what is asked for by name and nothing else, after asking whether it is safe and of a sane
size: text columns that Zarr keeps as pickled objects are never touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr
from numpy.typing import NDArray

from spikefleet.signal.formats.hdf5 import dataset_at, open_hdf5, read_whole, require_samples
from spikefleet.signal.formats.header_fields import read_json
from spikefleet.signal.formats.reader_errors import corrupt, reading
from spikefleet.signal.formats.zarr_chunks import (
    reading_zarr,
    require_all_chunks,
    require_plain_array,
)

_MOST_TABLE_VALUES = 1 << 24
_TYPE = "neurodata_type"
_SERIES = "ElectricalSeries"


class Hdf5Store:
    """An NWB file on HDF5."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = open_hdf5(path)

    def close(self) -> None:
        """Close the file; arrays that were handed out cannot be read afterwards."""
        self.file.close()

    def find_series(self) -> list[str]:
        """Return the paths of all electrical series."""
        found: list[str] = []

        def visit(name: str, entry: Any) -> None:
            if isinstance(entry, h5py.Group) and _text(entry.attrs.get(_TYPE)) == _SERIES:
                found.append(name)

        with reading(self.path):
            self.file.visititems(visit)
        return sorted(found)

    def has(self, name: str) -> bool:
        """Say whether there is an array of that name."""
        with reading(self.path):
            return isinstance(self.file.get(name), h5py.Dataset)

    def attributes(self, name: str) -> Mapping[str, Any]:
        """Return an array's attributes."""
        with reading(self.path):
            return dict(self.file[name].attrs)

    def array(self, name: str) -> Any:
        """Return an array that is read lazily; it may hold samples or time stamps."""
        found = dataset_at(self.file, name, self.path)
        require_samples(found, self.path, n_dimensions=(1, 2))
        return found

    def column(self, name: str) -> NDArray[Any] | None:
        """Return a column of a table; None where it is not there. Text comes as str."""
        if not self.has(name):
            return None
        found = dataset_at(self.file, name, self.path)
        return _plain(read_whole(found, self.path))


class ZarrStore:
    """An NWB folder on Zarr."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading_zarr(path):
            self.root = zarr.open_group(str(path), mode="r")

    def close(self) -> None:
        """Nothing is held open."""

    def find_series(self) -> list[str]:
        """Return the paths of all electrical series."""
        found = []
        for attributes in sorted(self.path.rglob(".zattrs")):
            if (attributes.parent / ".zgroup").is_file() and attributes.parent != self.path:
                document = read_json(attributes)
                if isinstance(document, dict) and document.get(_TYPE) == _SERIES:
                    found.append(attributes.parent.relative_to(self.path).as_posix())
        return sorted(found)

    def has(self, name: str) -> bool:
        """Say whether there is an array of that name."""
        return (self.path / name / ".zarray").is_file()

    def attributes(self, name: str) -> Mapping[str, Any]:
        """Return an array's attributes."""
        file = self.path / name / ".zattrs"
        document = read_json(file) if file.is_file() else {}
        return document if isinstance(document, dict) else {}

    def array(self, name: str) -> Any:
        """Return an array that is read lazily; every chunk of it is there."""
        self._require(name)
        require_all_chunks(self.path / name, self.path)
        return self._open(name)

    def column(self, name: str) -> NDArray[Any] | None:
        """Return a column of a table; None where it is not there. Text comes as str."""
        if not self.has(name):
            return None
        require_plain_array(self.path / name, self.path, texts=True)
        found = self._open(name)
        if found.size > _MOST_TABLE_VALUES:
            raise corrupt(self.path, "absurd", f"{name} holds {found.size} values.")
        with reading_zarr(self.path):
            return _plain(np.asarray(found[...]))

    def _require(self, name: str) -> None:
        if not self.has(name):
            raise corrupt(self.path, "unreadable", f"it has no array {name!r}.")

    def _open(self, name: str) -> Any:
        with reading_zarr(self.path):
            return self.root[name]


@contextmanager
def opened(path: Path) -> Iterator[Hdf5Store | ZarrStore]:
    """Open an NWB file or folder for as long as its header is read."""
    store = open_store(path)
    try:
        yield store
    finally:
        store.close()


def open_store(path: Path) -> Hdf5Store | ZarrStore:
    """Open an NWB file or folder for good: its arrays are read later."""
    return ZarrStore(path) if path.is_dir() else Hdf5Store(path)


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind not in "SO":
        return values
    return np.array([_text(value) for value in values.reshape(-1)])


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
