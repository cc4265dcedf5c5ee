"""A stored prefix as a folder on this machine, for readers that need files.

A store whose keys are local files is read where it is; any other is copied to a temporary folder
that goes away again. What comes out is for reading only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spikefleet.infra.stores.bytes.artifacts import (
    ArtifactMissingError,
    ArtifactStore,
    HasLocalPaths,
)


@contextmanager
def checked_out(store: ArtifactStore, prefix: str) -> Iterator[Path]:
    """Give the folder behind ``prefix``. Raises ArtifactMissingError when nothing is under it."""
    if isinstance(store, HasLocalPaths):
        yield store.local_path(prefix)
        return
    keys = store.list_keys(prefix)
    if not keys:
        raise ArtifactMissingError(f"nothing is stored under {prefix}")
    with tempfile.TemporaryDirectory(prefix="spikefleet-") as scratch:
        folder = Path(scratch)
        for key in keys:
            store.fetch(key, folder / key.removeprefix(f"{prefix}/"))
        yield folder
