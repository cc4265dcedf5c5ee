"""What the service's own machine has: free space, memory, folders that can be written, versions.

In a cluster the sort runs elsewhere, so that what is read here is about this service only; the
machine that sorts looks at itself.
"""

from __future__ import annotations

import os
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import unquote, urlsplit

from spikefleet.infra.system.memory_reader import MemoryReader
from spikefleet.preflight.places import PreflightPlaces
from spikefleet.preflight.registry import HostFacts


def read_host(places: PreflightPlaces) -> HostFacts:
    """Read everything the checks of the machine look at."""
    sample = MemoryReader().read()
    scratch = _nearest(Path(places.scratch_folder)) if places.scratch_folder else None
    results = _nearest(_results_folder(places.artifacts_url))
    return HostFacts(
        free_scratch_bytes=_free_bytes(scratch),
        free_results_bytes=_free_bytes(results),
        available_memory_bytes=int(sample.limit_bytes - sample.working_set_bytes)
        if sample
        else None,
        scratch_writable=_writable(scratch),
        results_writable=_writable(results),
        spikeinterface_version=_installed("spikeinterface"),
        scratch=places.scratch_folder,
        sorts_here=places.sorts_here,
    )


def _results_folder(artifacts_url: str) -> Path | None:
    """The folder of a store on this machine; None for one elsewhere."""
    parts = urlsplit(artifacts_url)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def _nearest(folder: Path | None) -> Path | None:
    """The folder, or what stands of its ancestors."""
    if folder is None:
        return None
    return next((place for place in (folder, *folder.parents) if place.exists()), None)


def _free_bytes(folder: Path | None) -> int | None:
    return None if folder is None else shutil.disk_usage(folder).free


def _writable(folder: Path | None) -> bool | None:
    return None if folder is None else os.access(folder, os.W_OK)


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
