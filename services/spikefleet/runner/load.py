"""From the staged files to what a sorter gets: open, join, cut, scale, filter, one int16 copy.

Used by the child's ``load`` step, and by whoever else must see exactly what the sorter sees.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from spikefleet.core.attempts import AttemptSpec, RunFolder
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.errors import InputMissingError
from spikefleet.runner.reach import content_digest, prepared_place
from spikefleet.signal.preparing.concatenate import open_concatenated
from spikefleet.signal.preparing.prepare import Prepared, PrepareOptions, prepare_recording

if TYPE_CHECKING:
    from spikefleet.signal.preparing.concatenate import Concatenation

LEAST_PROGRESS = 0.05


def load_recording(
    folder: RunFolder, spec: AttemptSpec, config: SortingConfig, say: Callable[[str], None]
) -> Prepared:
    """Open what the parent staged and return it prepared; the copy is claimed until released.

    ``say`` writes a line for the parent. Raises InputMissingError when a file was not staged, and
    what opening and preparing raise.
    """
    opened = open_inputs(folder, spec, config)
    n_jobs = workers(spec, config, float(opened.recording.get_total_duration()))
    place = prepared_place(folder, spec)
    options = PrepareOptions(
        n_jobs=n_jobs,
        progress=told_fractions(say),
        recording_digest=content_digest(spec),
        files=opened.files,
        reference=config.recording.common_reference,
        place=place,
        on_wait=lambda: say("waiting for another attempt that prepares the same recording"),
    )
    return prepare_recording(opened.recording, config.recording, place.root, options)


def told_fractions(say: Callable[[str], None]) -> Callable[[float], None]:
    """Return what says the fraction of a step that is done, each time it has grown by 0.05."""
    said = 0.0

    def tell(fraction: float) -> None:
        nonlocal said
        if fraction - said >= LEAST_PROGRESS:
            said = fraction
            say(f"fraction={fraction:.2f}")

    return tell


def open_inputs(folder: RunFolder, spec: AttemptSpec, config: SortingConfig) -> Concatenation:
    """Open the staged recording, or join its parts, lazily and untouched.

    Raises InputMissingError when a file was not staged, and what the readers raise.
    """
    parts = {part.name: folder.inputs / part.path for part in spec.parts}
    named = parts or {Path(spec.recording).name: folder.inputs / spec.recording}
    for name, path in named.items():
        if not path.exists():
            raise InputMissingError(
                f"The recording {name!r} was not staged into the run folder.", path=str(path)
            )
    return open_concatenated(
        named,
        spec.stream,
        hdf5_plugin_path=config.recording.hdf5_plugin_path,
        format=spec.format,
    )


def workers(spec: AttemptSpec, config: SortingConfig, duration_s: float) -> int:
    """Return how many workers the attempt may have and the recording is long enough to pay for."""
    allowed = max(1, min(config.execution.n_jobs, spec.cpus))
    return paying_workers(allowed, duration_s)


SECONDS_PER_WORKER = 30.0


def paying_workers(allowed: int, duration_s: float) -> int:
    """Return how many of the allowed workers a recording is long enough to pay for.

    Measured on 16 channels: a second worker saves nothing on 20 s and four tenths on 120 s.
    """
    return max(1, min(allowed, int(duration_s // SECONDS_PER_WORKER)))
