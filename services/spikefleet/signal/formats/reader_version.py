"""Which readers this installation has: the packages that decide how a file is read, by version."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("spikefleet", "spikeinterface", "neo")


@cache
def reader_version() -> str:
    """Return name and version of each package that reads recordings; one not installed is left out.

    Equal text: the same bytes are described and opened alike.
    """
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
