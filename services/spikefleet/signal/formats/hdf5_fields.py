"""Fields, columns and tables of an HDF5 header, checked before they are used.

Anything in a file may be missing, be a group instead of a dataset, or be far larger than a header
is. Asking here keeps the readers free of trying, as ``header_fields`` does for documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spikefleet.signal.formats.hdf5 import dataset_at, read_whole
from spikefleet.signal.formats.header_fields import MOST_CHANNELS, number
from spikefleet.signal.formats.reader_errors import corrupt, reading

_NUMBERS = "iuf"


def groups_in(parent: Any, name: str, path: Path) -> dict[str, Any]:
    """Return the groups directly in the group ``name``, by their names; {} where it is none."""
    with reading(path):
        group = parent.get(name)
        if not isinstance(group, h5py.Group):
            return {}
        found = {child: group.get(child) for child in group}
    return {child: item for child, item in found.items() if isinstance(item, h5py.Group)}


def first_value(parent: Any, name: str, path: Path) -> Any:
    """Return the first value of the dataset ``name``: HDF5 headers keep one field in each.

    Raises:
        InputCorruptError: it is no dataset, or is empty.
    """
    values = read_whole(dataset_at(parent, name, path), path)
    if not values.size:
        raise corrupt(path, "unreadable", f"{name} is empty.")
    return values.reshape(-1)[0]


def number_at(parent: Any, name: str, path: Path, *, above: float | None = None) -> float:
    """Return the first value of the dataset ``name`` as a finite number, above ``above``."""
    return number(first_value(parent, name, path), name, path, above=above)


def numbers_at(parent: Any, name: str, path: Path) -> NDArray[Any]:
    """Return a dataset of at most a channel count of numbers, as one row.

    Raises:
        InputCorruptError: it is no dataset, or holds something else.
    """
    values = read_whole(dataset_at(parent, name, path), path)
    if values.dtype.kind not in _NUMBERS or values.size > MOST_CHANNELS:
        raise corrupt(path, "unreadable", f"{name} is not a list of channels.")
    return np.asarray(values.reshape(-1))


def table_at(
    parent: Any, name: str, path: Path, *, numbers: Sequence[str], others: Sequence[str] = ()
) -> NDArray[Any]:
    """Return a table with these columns, one row a channel; ``numbers`` hold finite numbers.

    Raises:
        InputCorruptError: a column is missing, or is of another kind.
    """
    table = read_whole(dataset_at(parent, name, path), path)
    missing = [field for field in (*numbers, *others) if field not in (table.dtype.names or ())]
    if missing:
        raise corrupt(path, "unreadable", f"{name} lacks {', '.join(missing)}.")
    if table.size > MOST_CHANNELS:
        raise corrupt(path, "absurd", f"{name} lists {table.size} channels.")
    table = table.reshape(-1)
    for field in numbers:
        column = table[field]
        if column.ndim != 1 or column.dtype.kind not in _NUMBERS or not np.isfinite(column).all():
            raise corrupt(path, "unreadable", f"{field} of {name} must be one number a channel.")
    for field in others:
        if table[field].ndim != 1:
            raise corrupt(path, "unreadable", f"{field} of {name} must be one value a channel.")
    return np.asarray(table)


def whole_numbers(dataset: Any, path: Path) -> Any:
    """Return the dataset itself if it is one row of whole numbers (a clock); reads none of it.

    Raises:
        InputCorruptError: it is something else.
    """
    if dataset.shape is None or len(dataset.shape) != 1 or dataset.dtype.kind not in "iu":
        raise corrupt(path, "unreadable", f"{dataset.name} must be one row of whole numbers.")
    return dataset
