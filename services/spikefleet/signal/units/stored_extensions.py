"""Writing what was measured as SpikeInterface's own extensions, whose files stay its own.

Each is made by the class that computes it there, with that class's parameters; only its numbers are
ours. Long arrays are written to their files as they come.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from spikeinterface.core.sortinganalyzer import get_extension_class

if TYPE_CHECKING:
    from spikeinterface.core import SortingAnalyzer


class GrowingArray:
    """An ``.npy`` file of a known shape that is written front to back."""

    def __init__(self, file: IO[bytes], dtype: DTypeLike, shape: tuple[int, ...]) -> None:
        self._file, self._dtype, self._left = file, np.dtype(dtype), shape[0]
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(file, header)

    def append(self, rows: NDArray[Any]) -> None:
        """Write the next rows."""
        self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).data)
        self._left -= len(rows)

    def require_complete(self) -> None:
        """Raise ValueError where rows are missing, or too many were written."""
        if self._left:
            raise ValueError(f"{self._left} rows were not written.")


class StoredExtension:
    """An extension that is being filled: its parameters, its arrays, its files."""

    def __init__(self, extension: Any) -> None:
        self._extension = extension

    @property
    def params(self) -> dict[str, Any]:
        """Its parameters as SpikeInterface completed them."""
        return dict(self._extension.params)

    def set(self, name: str, values: NDArray[Any]) -> None:
        """Give one of its arrays whole."""
        self._extension.set_data(name, values)

    @contextmanager
    def growing(
        self, name: str, dtype: DTypeLike, shape: tuple[int, ...]
    ) -> Iterator[GrowingArray]:
        """Give one of its arrays piece by piece."""
        path = Path(self._extension.folder, "extensions", self._extension.extension_name)
        path = path / f"{name}.npy"
        with path.open("wb") as file:
            rows = GrowingArray(file, dtype, shape)
            yield rows
        rows.require_complete()
        # Left on the disk: SpikeInterface takes a mapped array for one that is stored already.
        mapped = np.load(path, mmap_mode="r")
        self._extension.set_data(name, mapped)


@contextmanager
def storing(analyzer: SortingAnalyzer, name: str, **params: Any) -> Iterator[StoredExtension]:
    """Make the extension ``name`` of an analyzer; it is kept, complete, when the block ends."""
    started_s = time.perf_counter()
    extension = get_extension_class(name)(analyzer)
    extension.set_params(save=True, **params)
    yield StoredExtension(extension)
    extension.run_info = {"run_completed": True, "runtime_s": time.perf_counter() - started_s}
    extension._save_run_info()
    extension._save_data()
    keep_mapped(extension)
    analyzer.extensions[name] = extension


def keep_mapped(extension: Any) -> None:
    """Let an extension's mapped arrays live as long as anything looks at them.

    SpikeInterface unmaps its own when the analyzer goes, under whoever still holds a view.
    """
    extension.data = {
        name: np.asarray(values) if isinstance(values, np.memmap) else values
        for name, values in extension.data.items()
    }
