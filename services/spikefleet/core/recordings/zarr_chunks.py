"""Whether a Zarr array (format 2) is all there. Zarr itself reads a missing chunk as zeros."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from zarr.errors import MetadataError

from spikefleet.core.recordings.edge import corrupt, reading


def require_all_chunks(array: Path, path: Path) -> None:
    """Check that every chunk of the array in folder ``array`` has its file.

    Raises:
        InputCorruptError: ``truncated`` (how many of how many are missing) or ``empty``.
    """
    header = json.loads((array / ".zarray").read_text(encoding="utf-8"))
    if 0 in header["shape"]:
        raise corrupt(path, "empty", "the array has no samples.")
    separator = header.get("dimension_separator", ".")
    counts = [
        math.ceil(size / chunk)
        for size, chunk in zip(header["shape"], header["chunks"], strict=True)
    ]
    missing = sum(
        not (array / separator.join(map(str, index))).is_file() for index in np.ndindex(*counts)
    )
    if missing:
        raise corrupt(
            path,
            "truncated",
            f"{missing} of {math.prod(counts)} chunks of {array.name} are missing.",
        )


@contextmanager
def reading_zarr(path: Path) -> Iterator[None]:
    """As ``reading``, also for what zarr says of metadata it does not understand.

    Raises:
        InputMissingError, InputCorruptError: as ``reading`` does.
    """
    with reading(path):
        try:
            yield
        except MetadataError as error:
            raise corrupt(path, "unreadable", f"its Zarr metadata is damaged ({error}).") from error
