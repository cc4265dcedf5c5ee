"""Sorts of a sorter that was taken over: each runs code in whoever reads its analyzer trustingly.

The code makes the folder ``mark``. ``WRITERS`` change a genuine analyzer in place.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import spikeinterface

_PHY = "spikeinterface.extractors.phykilosortextractors.PhySortingExtractor"
_PROPERTY = "sorting/properties/extra.npy"


class Mark:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (self.path,)


def objects(mark: Path, shape: tuple[int, ...] = (5,)) -> bytes:
    """Return the bytes of an array of objects."""
    array = np.empty(shape, dtype=object)
    array[...] = Mark(mark)
    return _saved(array)


def fields_of_objects(mark: Path) -> bytes:
    """Return the same, hidden in one field of a structured array."""
    array = np.zeros(5, dtype=[("a", "i8"), ("b", "O")])
    array["b"] = Mark(mark)
    return _saved(array)


def header_of(shape: str, dtype: str = "'<f8'", version: int = 1) -> bytes:
    """Return an array file that claims ``shape`` and holds 64 bytes."""
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes((version, 0)) + length + text + bytes(64)


def phy_folder(folder: Path, mark: Path) -> Path:
    """Write a folder that Phy's reader of SpikeInterface runs."""
    folder.mkdir(parents=True)
    code = f"sample_rate = 20000.0; __import__('os').mkdir({str(mark)!r})\n"
    (folder / "params.py").write_text(code)
    for name in ("spike_times", "spike_templates", "spike_clusters"):
        np.save(folder / f"{name}.npy", np.zeros(3, dtype=int))
    return folder


def extractor(name: str, **kwargs: Any) -> dict[str, Any]:
    """Return the document of an object that SpikeInterface makes again."""
    return {
        "class": name,
        "module": "spikeinterface",
        "version": spikeinterface.__version__,
        "kwargs": kwargs,
        "annotations": {},
        "properties": {},
        "relative_paths": False,
    }


def _saved(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def _file(name: str, content: Callable[[Path], bytes]) -> Callable[[Path, Path], None]:
    def write(analyzer: Path, mark: Path) -> None:
        path = analyzer / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(mark))

    return write


def _names_phy(name: str, wrap: Callable[[dict[str, Any]], Any]) -> Callable[[Path, Path], None]:
    def write(analyzer: Path, mark: Path) -> None:
        folder = phy_folder(analyzer.parent / "ks", mark)
        document = wrap(extractor(_PHY, folder_path=str(folder)))
        (analyzer / name).write_text(json.dumps(document))

    return write


def _within(document: dict[str, Any]) -> dict[str, Any]:
    whole = "spikeinterface.core.sortingfolder.NumpyFolderSorting"
    return extractor(whole, folder_path=".", parents=[document])


def _zipped(mark: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.npy", _saved(np.zeros(3)))
        archive.writestr("b.npy", objects(mark))
    return out.getvalue()


def _zarr(analyzer: Path, mark: Path) -> None:
    folder = analyzer / "recording.zarr" / "properties"
    folder.mkdir(parents=True)
    (folder / "0").write_bytes(pickle.dumps(Mark(mark), protocol=0))


WRITERS: Mapping[str, Callable[[Path, Path], None]] = {
    "a property of objects": _file(_PROPERTY, objects),
    "a single object": _file(_PROPERTY, lambda mark: objects(mark, ())),
    "a field of objects": _file(_PROPERTY, fields_of_objects),
    "a pickle called an array": _file(_PROPERTY, lambda mark: pickle.dumps(Mark(mark))),
    "an old pickle called an array": _file(_PROPERTY, lambda mark: pickle.dumps(Mark(mark), 0)),
    "spikes of objects": _file("sorting/spikes.npy", objects),
    "templates of objects": _file("extensions/templates/average.npy", objects),
    "an array without its suffix": _file("sorting/properties/extra", objects),
    "an archive called an array": _file(_PROPERTY, _zipped),
    "an archive of objects": _file("extensions/templates/more.npz", _zipped),
    "a pickle without its suffix": _file("recording", lambda mark: pickle.dumps(Mark(mark))),
    "an array of a petabyte": _file(_PROPERTY, lambda _: header_of("(1000000000000000,)")),
    "endless elements of no size": _file(
        _PROPERTY, lambda _: header_of("(1000000000000000,)", "'|V0'")
    ),
    "a negative length": _file(_PROPERTY, lambda _: header_of("(-1, -1000000)")),
    "a header that is no literal": _file(_PROPERTY, lambda _: header_of("__import__('os')")),
    "a header without bounds": _file(_PROPERTY, lambda _: header_of("(" * 50_000, version=2)),
    "a header cut short": _file(_PROPERTY, lambda _: header_of("(1,)")[:20]),
    "a recording of Phy": _names_phy("recording.json", lambda document: document),
    "a sorting of Phy": _names_phy("sorting/provenance.json", lambda document: document),
    "a sorting of Phy in the old place": _names_phy("sorting_provenance.json", lambda d: d),
    "a recording made from one of Phy": _names_phy("recording.json", _within),
    "a zarr store": _zarr,
}
