"""Hostile HDF5 files: what lies in other files, what claims to be endless, and bombs."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tests.support.hostile.genuine import GENUINE
from tests.support.hostile.traps import DEEP, Trap, Writer, pickled

_SAMPLES = {
    "maxwell": "data_store/data0000/groups/routed/raw",
    "nwb of pynwb": "acquisition/probe0/data",
    "mcs": "Data/Recording_0/AnalogStream/Stream_0/ChannelData",
    "biocam": "Well_A1/Raw",
}
_BOMB_VALUES = 200_000_000


def _hdf5(layout: str, change: Callable[[Any, Trap], None]) -> Writer:
    def write(trap: Trap) -> Path:
        path = GENUINE[layout](trap.folder)
        with h5py.File(path, "r+") as file:
            change(file, trap)
        return path

    return write


def _external_storage(name: str) -> Callable[[Any, Trap], None]:
    """Samples whose bytes are another file's."""

    def change(file: Any, trap: Trap) -> None:
        shape, dtype = file[name].shape, file[name].dtype
        del file[name]
        size = int(np.prod(shape)) * dtype.itemsize
        file.create_dataset(name, shape, dtype, external=[(str(trap.secret), 0, size)])

    return change


def _external_link(name: str) -> Callable[[Any, Trap], None]:
    def change(file: Any, trap: Trap) -> None:
        with h5py.File(trap.outside / "other.h5", "a") as other:
            if "x" not in other:
                other["x"] = np.arange(16, dtype="<i2").reshape(4, 4)
        del file[name]
        file[name] = h5py.ExternalLink(str(trap.outside / "other.h5"), "/x")

    return change


def _virtual(name: str) -> Callable[[Any, Trap], None]:
    """Samples put together from another file's."""

    def change(file: Any, trap: Trap) -> None:
        shape, dtype = file[name].shape, file[name].dtype
        del file[name]
        layout = h5py.VirtualLayout(shape, dtype)
        source = str(trap.outside / "other.h5")
        layout[...] = h5py.VirtualSource(source, "x", shape, dtype)
        file.create_virtual_dataset(name, layout)

    return change


def _claim(name: str, *shape: int, dtype: Any = None) -> Callable[[Any, Trap], None]:
    """A dataset that claims far more than there is; nothing of it is stored."""

    def change(file: Any, trap: Trap) -> None:
        kind = file[name].dtype if dtype is None else dtype
        del file[name]
        chunks = tuple(min(size, 1024) for size in shape)
        file.create_dataset(name, shape, kind, chunks=chunks)

    return change


@lru_cache(maxsize=1)
def _squeezed(n_values: int) -> bytes:
    squeezed = zlib.compressobj(1)
    block = bytes(2 << 20)
    parts = [squeezed.compress(block) for _ in range(n_values // (1 << 20))]
    return b"".join([*parts, squeezed.flush()])


def _bomb(name: str, *shape: int) -> Callable[[Any, Trap], None]:
    """A few kilobytes that unpack to gigabytes, in one piece."""

    def change(file: Any, trap: Trap) -> None:
        dtype = file[name].dtype
        del file[name]
        data = file.create_dataset(name, shape, dtype, chunks=shape, compression="gzip")
        data.id.write_direct_chunk((0,) * len(shape), _squeezed(int(np.prod(shape))))

    return change


def _settings(text: str) -> Callable[[Any, Trap], None]:
    def change(file: Any, trap: Trap) -> None:
        del file["ExperimentSettings"]
        file["ExperimentSettings"] = np.array([text.encode()], dtype=object)

    return change


def _cycle(file: Any, trap: Trap) -> None:
    """Groups inside themselves, and no recording."""
    del file["wells"]
    file["wells/a/b"] = file["/"]
    file["mapping"] = h5py.SoftLink("/wells/a/b/mapping")


def _own_filter(file: Any, trap: Trap) -> None:
    """Samples through a filter whose library, and the word where to look for it, came along."""
    library = trap.folder / "plugin" / "libh5evil.so"
    library.parent.mkdir()
    library.write_bytes(b"\x7fELF" + bytes(1000))
    name = _SAMPLES["maxwell"]
    shape = file[name].shape
    del file[name]
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((shape[0], 100))
    creation.set_filter(511, h5py.h5z.FLAG_OPTIONAL, tuple(b"libh5evil.so"))
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.STD_U16LE, space, creation)
    file.attrs["HDF5_PLUGIN_PATH"] = str(library.parent)


def _filtered_table(file: Any, trap: Trap) -> None:
    """A table, not the samples, through a filter that nobody has."""
    name = "data_store/data0000/settings/mapping"
    kind = h5py.h5t.py_create(file[name].dtype)
    del file[name]
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((4,))
    creation.set_filter(32_015, h5py.h5z.FLAG_OPTIONAL)
    h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple((4,)), creation)


def _pickled_column(name: str) -> Callable[[Any, Trap], None]:
    """A column of the electrodes' table that holds pickles, as bytes of no type."""

    def change(file: Any, trap: Trap) -> None:
        table = file["general/extracellular_ephys/electrodes"]
        rows = table["id"].shape[0]
        data = pickled(trap)
        if name in table:
            del table[name]
        table.create_dataset(name, data=np.array([data] * rows, dtype=f"V{len(data)}"))

    return change


def _referenced_rows(file: Any, trap: Trap) -> None:
    """Electrodes that are references to objects, one to the root, where rows should be."""
    series = file["acquisition/probe0"]
    del series["electrodes"]
    series.create_dataset(
        "electrodes", data=np.array([file.ref] * 4, dtype=h5py.ref_dtype), dtype=h5py.ref_dtype
    )


def _signature_only(trap: Trap) -> Path:
    path = trap.folder / "rec.h5"
    path.write_bytes(bytes(512) + b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 8)
    return path


def _text_for_numbers(file: Any, trap: Trap) -> None:
    del file["data_store/data0000/settings/sampling"]
    file["data_store/data0000/settings/sampling"] = np.array([b"__import__('os').getcwd()"])


HDF5: Mapping[str, Writer] = {
    **{
        f"{layout}: samples stored in another file": _hdf5(layout, _external_storage(name))
        for layout, name in _SAMPLES.items()
    },
    **{
        f"{layout}: samples behind a link to another file": _hdf5(layout, _external_link(name))
        for layout, name in _SAMPLES.items()
    },
    **{
        f"{layout}: samples put together from another file": _hdf5(layout, _virtual(name))
        for layout, name in _SAMPLES.items()
    },
    "maxwell: samples through a filter that came along": _hdf5("maxwell", _own_filter),
    "maxwell: a table through a filter nobody has": _hdf5("maxwell", _filtered_table),
    "nwb: pickled ids": _hdf5("nwb of pynwb", _pickled_column("id")),
    "nwb: pickled places": _hdf5("nwb of pynwb", _pickled_column("rel_x")),
    "nwb: electrodes that are references": _hdf5("nwb of pynwb", _referenced_rows),
    "maxwell: a mapping without end": _hdf5(
        "maxwell", _claim("data_store/data0000/settings/mapping", 1 << 40)
    ),
    "maxwell: channels without end": _hdf5(
        "maxwell", _claim("data_store/data0000/groups/routed/channels", 1 << 40)
    ),
    "maxwell: samples without end": _hdf5("maxwell", _claim(_SAMPLES["maxwell"], 4, 1 << 50)),
    "maxwell: a bomb": _hdf5("maxwell", _bomb(_SAMPLES["maxwell"], 4, _BOMB_VALUES)),
    "maxwell: code for a number": _hdf5("maxwell", _text_for_numbers),
    "maxwell: groups inside themselves": _hdf5("maxwell", _cycle),
    "nwb: samples without end": _hdf5("nwb of pynwb", _claim(_SAMPLES["nwb of pynwb"], 1 << 50, 4)),
    "nwb: a bomb": _hdf5("nwb of pynwb", _bomb(_SAMPLES["nwb of pynwb"], _BOMB_VALUES, 4)),
    "mcs: a table without end": _hdf5(
        "mcs", _claim("Data/Recording_0/AnalogStream/Stream_0/InfoChannel", 1 << 40)
    ),
    "mcs: blocks without end": _hdf5(
        "mcs", _claim("Data/Recording_0/AnalogStream/Stream_0/ChannelDataTimeStamps", 1 << 40, 3)
    ),
    "biocam: settings nested without end": _hdf5("biocam", _settings(DEEP)),
    "biocam: settings that are a list": _hdf5("biocam", _settings(json.dumps([1, 2]))),
    "biocam: channels without end": _hdf5("biocam", _claim("Well_A1/StoredChIdxs", 1 << 40)),
    "biocam: samples without end": _hdf5("biocam", _claim(_SAMPLES["biocam"], 1 << 50)),
    "hdf5: a signature and nothing else": _signature_only,
}
"""What is tried, in words -> who writes it."""
