"""What else a MaxWell file says happened while it recorded: events, stimulation pulses, input bits.

Reads the tables of one well and puts each entry on the recording's own samples. Decides nothing
about what an entry means; its fields are passed on under the file's names.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from spikefleet.signal.formats.family import pick_stream
from spikefleet.signal.formats.hdf5 import open_hdf5
from spikefleet.signal.formats.maxwell import Well, describe, find_well, read_takes
from spikefleet.signal.formats.reader_errors import corrupt, reading
from spikefleet.signal.formats.takes import Take, name_takes

_TABLES = ("events", "stimulation", "bits")
_FRAME_FIELD = "frameno"
_OLD_SIGNAL_ROWS = 1024


@dataclass(frozen=True)
class RecordingEvent:
    """One entry of a table.

    ``frame`` counts the recording's stored samples from 0 and ``time_s`` follows from it; an entry
    before the first sample is negative, one inside a gap belongs to the first sample after it.
    ``values`` are the entry's other fields.
    """

    table: str
    frame: int
    time_s: float
    values: Mapping[str, int | float | str]


def list_events(path: Path, stream: str = "") -> tuple[RecordingEvent, ...]:
    """Return the events of one well, in order of time; none where the file has no tables.

    Args:
        path: a MaxWell file.
        stream: a stream id of it, "" for the only one.

    Raises:
        InputMissingError, InputCorruptError: as opening the recording.
        InvalidConfigurationError: there is no such stream.
    """
    path = Path(path)
    chosen = pick_stream(describe(path), stream, path)
    with open_hdf5(path) as file, reading(path):
        well, name = find_well(file, chosen, path)
        takes = read_takes(file, well, path)
        take = name_takes(name, takes)[chosen]
        clock = _Clock(file, well, take)
        events = [
            RecordingEvent(name, frame, frame / well.sampling_rate_hz, values)
            for name, number, values in _entries(file, well, path)
            if len(takes) == 1 or number in clock
            for frame in (clock.frame(number),)
        ]
    return tuple(sorted(events, key=lambda event: event.frame))


class _Clock:
    """Turns the system's frame numbers into samples of one recording."""

    def __init__(self, file: Any, well: Well, take: Take) -> None:
        self._first, self._gaps, self._n_frames = take.start_number, take.gaps, take.n_frames
        if well.frame_numbers is None and file[well.dataset].shape[0] > _OLD_SIGNAL_ROWS:
            # The layout of 2016 keeps the frame number in the last two rows, 16 bits in each.
            low, high = (int(half) for half in file[well.dataset][-2:, 0])
            self._first = (high << 16) | low
        self._missing_before = list(np.cumsum([0, *(missing for _, missing in self._gaps)]))
        self._after_gaps = [
            self._first + frame + int(missing)
            for (frame, _), missing in zip(self._gaps, self._missing_before[1:], strict=True)
        ]

    def __contains__(self, number: int) -> bool:
        """Say whether the take has a frame of this number; another take may have one too."""
        missing = sum(missing for _, missing in self._gaps)
        return self._first <= number < self._first + self._n_frames + missing

    def frame(self, number: int) -> int:
        """Return the sample of a frame number."""
        passed = bisect_right(self._after_gaps, number)
        frame = number - self._first - int(self._missing_before[passed])
        if passed < len(self._gaps):
            frame = min(frame, self._gaps[passed][0])
        return frame


def _entries(
    file: Any, well: Well, path: Path
) -> Iterator[tuple[str, int, Mapping[str, int | float | str]]]:
    """Yield (table, frame number, other fields) of every entry."""
    for name in _TABLES:
        dataset = _table(file, well, name)
        if dataset is None:
            continue
        fields = dataset.dtype.names or ()
        if _FRAME_FIELD not in fields:
            raise corrupt(path, "unreadable", f"table {name} has no {_FRAME_FIELD}.")
        for entry in dataset[:]:
            values = {field: _plain(entry[field]) for field in fields if field != _FRAME_FIELD}
            yield name, int(entry[_FRAME_FIELD]), MappingProxyType(values)


def _table(file: Any, well: Well, name: str) -> Any | None:
    """Return a table of the well's own group, or of the file in the layout of 2016."""
    root = file if well.frame_numbers is None else file[well.frame_numbers].parent.parent.parent
    found = root.get(name)
    return found if found is not None and hasattr(found, "dtype") else None


def _plain(value: Any) -> int | float | str:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, str):
        return value
    plain = (
        value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else str(value)
    )
    return plain.decode("utf-8", errors="replace") if isinstance(plain, bytes) else plain
