"""The contract of a sorter adapter, and the one switchboard that loads an adapter by name.

A backend is one file. It turns a prepared recording into spike trains inside a folder and says
nothing about processes, retries or stores. Importing this module imports no sorter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.core.sorters.catalogue import BACKENDS

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting


@dataclass(frozen=True)
class SortRequest:
    """What a backend is asked to do.

    ``recording`` is prepared: one segment, int16 or float32, gain and offset set, located probe.
    ``params`` are the sorter's own parameters (user's over defaults). ``folder`` is empty scratch.
    ``n_jobs`` workers share chunked work; ``threads`` is what one library may use (0: ``n_jobs``).
    """

    recording: BaseRecording
    folder: Path
    params: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    n_jobs: int = 1
    seed: int = 1
    threads: int = 0


class SorterBackend(Protocol):
    """One sorter. Stateless: everything it needs comes in the request, everything it makes is in
    ``request.folder`` and the returned sorting."""

    name: str
    #: Files that it leaves in ``request.folder`` and that belong to the result.
    keeps: tuple[str, ...]

    def default_params(self) -> dict[str, Any]:
        """The sorter's parameters with our defaults, for the resolved configuration."""
        ...

    def versions(self) -> dict[str, str]:
        """Versions of the libraries that decide the result, for provenance."""
        ...

    def resolve(self, request: SortRequest) -> dict[str, Any]:
        """The parameters this request will run with, decided by the recording where needed.

        Raises InvalidConfigurationError for a name the sorter does not have.
        """
        ...

    def sort(self, request: SortRequest) -> BaseSorting:
        """Sort; raise what the sorter raises. No spikes: InsufficientActivityError."""
        ...


def load_backend(name: str) -> SorterBackend:
    """Import and return the backend called ``name``.

    Raises InvalidConfigurationError for an unknown name; ImportError travels to the classifier.
    """
    if name not in BACKENDS:
        known = ", ".join(sorted(BACKENDS))
        raise InvalidConfigurationError(
            f"There is no sorter called {name!r}; choose one of {known}.",
            field="sorter.sorter_name",
            value=name,
        )
    module = import_module(f"spikefleet.signal.sorters.adapters.{name}")
    backend: SorterBackend = module.BACKEND
    return backend
