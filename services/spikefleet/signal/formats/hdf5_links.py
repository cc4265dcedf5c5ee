"""Whether an HDF5 file is all there is to it: nothing in it may point outside it.

An external link, external storage or a virtual dataset makes HDF5 open another file when a reader
touches it, whoever the reader is. So every link and every dataset is asked before anything is read.
What is damaged is passed over here: nobody can read it, and the reader says so where it matters.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.formats.reader_errors import corrupt

# Plates of 24 wells have a few thousand; a million would take minutes to walk.
_MOST_LINKS = 500_000
_DAMAGED = (OSError, RuntimeError, KeyError, ValueError, TypeError)


def require_self_contained(file: Any, path: Path) -> None:
    """Refuse an HDF5 file with links, storage or datasets that are in other files.

    Remembers its answer until the file changes.

    Raises:
        InputCorruptError: ``unsafe``, naming the object; ``absurd``: too many objects.
    """
    found = path.stat()
    remembered = (str(path.absolute()), found.st_size, found.st_mtime_ns, found.st_ino)
    if remembered in _checked():
        return
    _walk(file.id, path)
    known = _checked()
    if len(known) >= _REMEMBERED:
        known.clear()
    known.add(remembered)


_REMEMBERED = 64


@lru_cache(maxsize=1)
def _checked() -> set[tuple[str, int, int, int]]:
    return set()


def _walk(root: Any, path: Path) -> None:
    waiting: list[tuple[str, Any]] = [("", h5py.h5g.open(root, b"/"))]
    seen: set[int] = set()
    n_links = 0
    while waiting:
        place, group = waiting.pop()
        for name in _names(group):
            n_links += 1
            if n_links > _MOST_LINKS:
                raise corrupt(path, "absurd", f"it holds more than {_MOST_LINKS} objects.")
            here = f"{place}/{name.decode('utf-8', errors='replace')}"
            child = _child(group, name, here, path)
            if child is None:
                continue
            address = int(h5py.h5o.get_info(child).addr)
            if address in seen:
                continue
            seen.add(address)
            if isinstance(child, h5py.h5g.GroupID):
                waiting.append((here, child))
            elif isinstance(child, h5py.h5d.DatasetID):
                _require_own_storage(child, here, path)


def _names(group: Any) -> list[bytes]:
    found: list[bytes] = []
    try:
        group.links.iterate(found.append)
    except _DAMAGED:
        return found
    return found


def _child(group: Any, name: bytes, here: str, path: Path) -> Any | None:
    """Return the object a hard link names; None for a link within the file or a damaged one."""
    try:
        kind = group.links.get_info(name).type
    except _DAMAGED:
        return None
    if kind == h5py.h5l.TYPE_HARD:
        try:
            return h5py.h5o.open(group, name)
        except _DAMAGED:
            return None
    if kind != h5py.h5l.TYPE_SOFT:
        raise _leaves(path, here, "is a link to another file")
    return None


def _require_own_storage(dataset: Any, here: str, path: Path) -> None:
    try:
        creation = dataset.get_create_plist()
        layout, n_external = creation.get_layout(), creation.get_external_count()
        sources = (
            {creation.get_virtual_filename(i) for i in range(creation.get_virtual_count())}
            if layout == h5py.h5d.VIRTUAL
            else set()
        )
    except _DAMAGED:
        return
    if n_external:
        raise _leaves(path, here, "keeps its values in another file")
    if sources - {".", b"."}:
        raise _leaves(path, here, "is put together from other files")


def _leaves(path: Path, here: str, how: str) -> InputCorruptError:
    return corrupt(
        path,
        "unsafe",
        f"{here[:200]!r} {how}, and nothing outside a recording is followed.",
        "Write one file that holds everything (h5repack, or export it again).",
    )
