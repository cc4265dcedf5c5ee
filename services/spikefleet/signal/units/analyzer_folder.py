"""Opening the analyzer that a sort left: the one place where SpikeInterface is given such a folder.

An analyzer names the recording and the sorting that it was made from. Neither is opened: they are
gone by then, on purpose, and whoever wrote the folder says where to look for them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from spikeinterface.core import NumpyRecording, SortingAnalyzer

from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.signal.units.library_metrics import METRICS
from spikefleet.signal.units.stored_extensions import keep_mapped
from spikefleet.signal.units.trusted_folder import require_data_only

# What SpikeInterface and numpy raise on documents and arrays of another shape than they wrote.
_MALFORMED = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
)


def open_analyzer(folder: Path) -> SortingAnalyzer:
    """Return the analyzer of a sort, with everything that was measured and without its recording.

    Arrays stay on the disk until they are used: sampled waveforms are gigabytes, and hardly anybody
    asks for them. Raises InputCorruptError when the folder is not a readable analyzer or holds more
    than data.
    """
    require_data_only(folder)
    # A recording that is given is not looked for; the library has no other way to say so.
    nothing = NumpyRecording([np.zeros((0, 1), dtype=np.int16)], sampling_frequency=1.0)
    with reading(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        analyzer = SortingAnalyzer.load(
            folder, recording=nothing, load_extensions=False, format="binary_folder"
        )
        analyzer._recording = None  # so that it is without one, as it was stored
        analyzer.get_sorting_provenance = _no_provenance
        analyzer._lazy = True  # arrays are mapped, for this step only
        for name in analyzer.get_saved_extension_names():
            if name not in METRICS:
                analyzer.load_extension(name)
        analyzer._lazy = False
        for extension in analyzer.extensions.values():
            keep_mapped(extension)
    return analyzer


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turn what a malformed analyzer makes its readers raise into InputCorruptError."""
    try:
        yield
    except _MALFORMED as error:
        raise InputCorruptError(
            "The sort's analyzer cannot be read; sort the run again.",
            path=folder.name,
            reason=(str(error) or type(error).__name__)[:300],
        ) from error


def _no_provenance() -> None:
    """Answer for the sorting an analyzer was made from: its own copy is the one to use."""
